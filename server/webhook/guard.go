package webhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Guard says which addresses a webhook may be sent to. The URL of a hook may be written by somebody who may
// not reach everything that this machine reaches (the database beside it, the metadata service of a cloud),
// so that all but public addresses are refused unless they are allowed.
type Guard struct {
	// Allow are networks that may be called although they are not public, and by plain http. An IPv4
	// network stands for the same addresses mapped into IPv6 too.
	Allow []netip.Prefix
}

// ErrBlocked is in the chain of every error that a Guard gives.
var ErrBlocked = errors.New("the address may not be called")

// private are the IPv4 networks that are not public (IANA's special-purpose registry), multicast and the
// class E besides.
var private = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
)

// public is where IPv6 has its public addresses; wrapped are the parts of it that are not, or that stand for
// an IPv4 address which nobody judged (Teredo, 6to4). NAT64 and mapped addresses lie outside of it.
var (
	public  = netip.MustParsePrefix("2000::/3")
	wrapped = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func within(all []netip.Prefix, ip netip.Addr) bool {
	for _, p := range all {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// Judge refuses an address, with [ErrBlocked]. plain: it would be called by http, not https.
func (g Guard) Judge(ip netip.Addr, plain bool) error {
	ip = ip.WithZone("").Unmap()
	switch {
	case within(g.Allow, ip):
		return nil
	case ip.Is4() && within(private, ip), ip.Is6() && (!public.Contains(ip) || within(wrapped, ip)), !ip.IsValid():
		return fmt.Errorf("%w: %s is not public, and no --webhook-allow names it", ErrBlocked, ip)
	case plain:
		return fmt.Errorf("%w: plain http goes only where --webhook-allow names the address; use https", ErrBlocked)
	}
	return nil
}

// CheckURL refuses the URL of a hook that could never be called: one that is not http or https, has no host,
// names a user or a fragment, or whose host is an address that the guard refuses. No error repeats what may be
// secret in it.
func (g Guard) CheckURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("the URL cannot be read")
	case u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("the URL is https://HOST/PATH")
	case u.User != nil:
		return nil, errors.New("the URL has no place for a user and a password; what is sent is signed")
	case u.Fragment != "":
		return nil, errors.New("the URL has no place for a fragment")
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if err := g.Judge(ip, u.Scheme == "http"); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// control judges the address that is about to be connected to. There is no second resolution after it: what
// was judged is what is called, whatever the name resolves to by then.
func (g Guard) control(plain bool) func(network, address string, _ syscall.RawConn) error {
	return func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: it cannot be read", ErrBlocked)
		}
		return g.Judge(to.Addr(), plain)
	}
}

// How long the parts of a call may take at most; the hook's own timeout bounds the whole.
const (
	connectWithin = 5 * time.Second
	idleConns     = 2
	idleFor       = 30 * time.Second
	maxHeader     = 16 << 10
)

// transport makes what calls one URL: judged addresses alone, no proxy, no cookies, at most conns connections.
func (g Guard) transport(u *url.URL, conns int, resolver *net.Resolver) *http.Transport {
	dialer := &net.Dialer{Timeout: connectWithin, Control: g.control(u.Scheme == "http"), Resolver: resolver}
	return &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: connectWithin, ForceAttemptHTTP2: true,
		MaxConnsPerHost: conns, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: idleFor,
		MaxResponseHeaderBytes: maxHeader, DisableCompression: true,
	}
}
