package transport

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// addressOf is where a request comes from, as far as quotas care: one IPv4 address, or an IPv6 network
// as they are given to one customer. What X-Forwarded-For says is believed of the proxies that are
// configured, and of nobody else: the last address in it that is not one of theirs is the client's. What
// stands before that is the client's own claim.
func (s *Server) addressOf(r *http.Request) netip.Prefix {
	addr, _ := remote(r.RemoteAddr)
	return s.addressBehind(addr, r.Header.Values("X-Forwarded-For"))
}

// unnumbered stands for those who have no address: in-memory listeners of tests.
var unnumbered = netip.PrefixFrom(netip.IPv4Unspecified(), 32)

// addressBehind is addressOf for the address of a peer and what it says.
func (s *Server) addressBehind(addr netip.Addr, forwarded []string) netip.Prefix {
	if !addr.IsValid() {
		return unnumbered
	}
	if !s.trusted(addr) {
		return network(addr)
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0 && s.trusted(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break // a proxy of ours that does not say who sent it stands for its clients
		}
		addr = hop.Unmap().WithZone("")
	}
	return network(addr)
}

// trusted reports whether an address is that of a proxy that is configured.
func (s *Server) trusted(addr netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// peerOf is the address of the peer of a connection.
func peerOf(nc net.Conn) (netip.Addr, bool) {
	from := nc.RemoteAddr()
	if tcp, ok := from.(*net.TCPAddr); ok {
		addr := tcp.AddrPort().Addr().Unmap().WithZone("")
		return addr, addr.IsValid()
	}
	return remote(from.String())
}

// remote reads the address of a connection; zero where it is none.
func remote(text string) (netip.Addr, bool) {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = text
	}
	addr, err := netip.ParseAddr(host)
	return addr.Unmap().WithZone(""), err == nil
}

// network is what counts as one address.
func network(addr netip.Addr) netip.Prefix {
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // the bits fit the address
	return p
}
