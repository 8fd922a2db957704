package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// Build builds a program of the module that lies in a directory ("." is this one's, from anywhere
// inside) into dir, and returns its path. The flags are those of `make build`: with others, Go
// would compile every library once more, which takes minutes.
func Build(ctx context.Context, module, pkg, dir string) (string, error) {
	program, err := filepath.Abs(filepath.Join(dir, filepath.Base(pkg)))
	if err != nil {
		return "", err
	}
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-C", module, "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", program, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return program, nil
}
