//go:build !linux

package bench

import "syscall"

func tied() *syscall.SysProcAttr { return nil }
