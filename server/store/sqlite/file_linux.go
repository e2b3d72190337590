package sqlite

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fileIdentity names the file at path among all that its disk ever had: a copy has another inode, or one
// that was free again and then a later time of birth. Moving a file within a file system keeps it. The
// device is left out, since its number may change with each start of the machine.
func fileIdentity(path string) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st); err != nil {
		return "", fmt.Errorf("stat: %w", err)
	}
	if st.Mask&unix.STATX_BTIME == 0 {
		return fmt.Sprint(st.Ino), nil
	}
	return fmt.Sprintf("%d@%d.%09d", st.Ino, st.Btime.Sec, st.Btime.Nsec), nil
}
