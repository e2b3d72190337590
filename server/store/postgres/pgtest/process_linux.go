package pgtest

import "syscall"

// quit tells a postmaster to end at once; so does the death of the process that started it.
const quit = syscall.SIGQUIT

// tied makes the child get sig when the thread that starts it ends.
func tied(a *syscall.SysProcAttr) { a.Pdeathsig = quit }
