package postgres

import (
	"os"
	"os/exec"
)

// owner is who the server runs as.
type owner struct{}

func (s *Server) owner() (owner, error) { return owner{}, nil }

func (owner) become(*exec.Cmd) {}

func (owner) give(*os.File) error { return nil }
