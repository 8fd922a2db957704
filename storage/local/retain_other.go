//go:build !linux && !darwin

package local

import (
	"os"

	"mahavishnu/storage/backend"
)

func setAttribute(*os.File, string, string) error { return backend.ErrUnsupported }

func attribute(string, string) (string, error) { return "", backend.ErrUnsupported }
