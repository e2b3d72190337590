//go:build !linux

package bench

import "syscall"

// tied does nothing where a child cannot be tied to its parent.
func tied() *syscall.SysProcAttr { return nil }
