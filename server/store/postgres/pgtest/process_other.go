//go:build unix && !linux

package pgtest

import "syscall"

// quit tells a postmaster to end at once.
const quit = syscall.SIGQUIT

// tied does nothing where a child cannot be tied to its parent: there a killed test leaves its server.
func tied(*syscall.SysProcAttr) {}
