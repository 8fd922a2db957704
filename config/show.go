package config

import (
	"errors"
	"io"
)

// ShowOptions says how a configuration is printed.
type ShowOptions struct {
	// JSON prints one JSON document instead of YAML.
	JSON bool
}

// Show prints every setting with the value in force, secrets masked. What it
// prints as YAML loads again, but for the secrets.
func (c *Config) Show(w io.Writer, o ShowOptions) error { return errors.ErrUnsupported }

// File returns the path the configuration was loaded from; empty for defaults.
func (c *Config) File() string { return c.origin.file }

// Notices returns what the operator should be told at every start.
func (c *Config) Notices() []Notice { return nil }
