//go:build unix

package snapshot

import (
	"errors"
	"syscall"
)

// noSpace tells that there is no room, or none within the quota.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
