package config

import (
	"errors"
	"os"
)

// Option changes how a configuration is loaded.
type Option func(*loader)

// Environment replaces the process's environment, as os.LookupEnv reads it.
func Environment(lookup func(string) (string, bool)) Option {
	return func(l *loader) { l.lookup = lookup }
}

// Set gives one setting by its dotted path, "node.region", in place of what the
// file says, as a flag on the command line does.
func Set(key, value string) Option {
	return func(l *loader) { l.sets = append(l.sets, setting{key, value, "the command line"}) }
}

type setting struct{ key, value, from string }

type loader struct {
	lookup func(string) (string, bool)
	sets   []setting
}

// origin tells where a configuration came from.
type origin struct{ file string }

// Load reads the file at path. An empty path means the defaults, with what the
// environment says. The error is [Errors] when the file could be read.
func Load(path string, opts ...Option) (*Config, error) {
	l := loader{lookup: os.LookupEnv}
	for _, o := range opts {
		o(&l)
	}
	return nil, errors.ErrUnsupported
}

// Parse is Load for text at hand; name stands for the file in messages, and
// its directory is where relative paths start.
func Parse(name string, text []byte, opts ...Option) (*Config, error) {
	return nil, errors.ErrUnsupported
}

// Reload loads the file at path in place of old. When it is bad, fresh is old
// itself and the error says that the old configuration stays in force. changed
// lists the dotted paths that differ; restart lists those among them that take
// effect only when the process is started again.
func Reload(old *Config, path string, opts ...Option) (fresh *Config, changed, restart []string, err error) {
	return old, nil, nil, errors.ErrUnsupported
}
