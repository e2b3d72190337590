package app

import (
	"net"
	"net/netip"

	"roomlog/server/transport"
)

// validateNetwork refuses a server for trying things where others than this machine could reach it, unless
// that was asked for in so many words; and proxies that are not addresses.
func (c Config) validateNetwork() error {
	host, _, _ := net.SplitHostPort(c.Listen) // judged already
	switch local := transport.LocalHost(host); {
	case c.InsecureDevOnNetwork && !c.Dev:
		return configErrorf("--insecure-dev-on-network is for dev; serve may listen anywhere")
	case c.Dev && !local && !c.InsecureDevOnNetwork:
		return configErrorf("dev is for this machine, and other machines reach %s: use `roomlog serve`, listen on 127.0.0.1, or say --insecure-dev-on-network", c.Listen)
	}
	_, err := c.trustedProxies()
	return err
}

// trustedProxies are the networks whose X-Forwarded-For is believed; a single address is one of itself.
func (c Config) trustedProxies() ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			addr, wrong := netip.ParseAddr(text)
			if wrong != nil || addr.Zone() != "" {
				return nil, configErrorf("--trusted-proxies: %q is neither an address nor a network such as 10.0.0.0/8", text)
			}
			p = netip.PrefixFrom(addr, addr.BitLen())
		}
		if p.Bits() == 0 {
			return nil, configErrorf("--trusted-proxies: %s is everybody; name the proxies, or anyone may say who they are", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Descriptors that are kept for what is no connection of a client: the store's, files, the admin listener.
const (
	reservedFiles = 128
	reservedShare = 4 // at most this part of all
)

// sockets is how many connections the server takes at a time; 0: as many as come.
func (c Config) sockets() int {
	if c.Connections > 0 {
		return c.Connections
	}
	may := openFiles()
	if may == 0 || may > 1<<30 {
		return 0
	}
	return int(may - min(reservedFiles, may/reservedShare))
}
