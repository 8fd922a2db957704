//go:build !windows

package standby

import "syscall"

// refused is how a system says that nobody listens.
const refused = syscall.ECONNREFUSED
