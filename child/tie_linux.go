package child

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// tie makes the child get sig when the thread that starts it ends.
func tie(a *syscall.SysProcAttr, sig syscall.Signal) { a.Pdeathsig = sig }

// stopped waits until a child that was sent SIGSTOP has stopped, which it tells when the last of its threads has.
func stopped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD): // it has ended
			return nil
		default:
			return err
		}
	}
}
