package local

import "golang.org/x/sys/unix"

// noAttribute is what the system says of an attribute that is not there.
const noAttribute = unix.ENODATA
