//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"roomlog/deploy"
)

// haproxyEnv names the environment variable with the path of HAProxy.
const haproxyEnv = "ROOMLOG_HAPROXY"

// findHAProxy finds the program: where the environment says, in PATH, or where Debian puts it, which is not in the PATH
// of an ordinary user.
func findHAProxy() (string, error) {
	if name := os.Getenv(haproxyEnv); name != "" {
		return exec.LookPath(name)
	}
	for _, name := range []string{"haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("haproxy is missing: apt-get install haproxy, or name the program in %s", haproxyEnv)
}

// startBalancer puts HAProxy in front of the nodes. Its listener is opened here and handed over: no other program can
// take the port between.
func (c *cluster) startBalancer(ctx context.Context, program string) error {
	dir, err := c.folder("balancer")
	if err != nil {
		return err
	}
	var nodes []deploy.Node
	for _, n := range c.parts[len(c.parts)-c.nodes:] {
		nodes = append(nodes, deploy.Node{Name: strings.TrimPrefix(n.name, "node "), Address: strings.TrimPrefix(n.at, "http://")})
	}
	common, places := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "places.cfg")
	err = errors.Join(os.WriteFile(common, deploy.HAProxy, 0o600), os.WriteFile(places, deploy.Places("fd@3", nodes), 0o600))
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	defer listener.Close() // HAProxy has its own of it
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(program, "-db", "-f", common, "-f", places)
	cmd.ExtraFiles = []*os.File{file}
	p, err := c.run("HAProxy", dir, cmd, syscall.SIGTERM)
	if err != nil {
		return err
	}
	p.at = "http://" + listener.Addr().String()
	return p.until(ctx, func() bool { return answers(ctx, p.at+"/readyz") })
}
