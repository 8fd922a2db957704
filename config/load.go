package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"mahavishnu/fault"
)

// Option changes how a configuration is loaded.
type Option func(*loader)

// Environment replaces the process's environment, as os.LookupEnv reads it.
func Environment(lookup func(string) (string, bool)) Option {
	return func(l *loader) { l.lookup = lookup }
}

// Set gives one setting by its dotted path, "node.region", in place of what the
// file and the environment say, as a flag on the command line does. Only
// settings with a single value can be given.
func Set(key, value string) Option {
	return func(l *loader) { l.sets = append(l.sets, setting{key, value, "the command line"}) }
}

// Machine has Load also refuse what a coordinator on this machine would not start with:
// programs that are not here, for one. Commands that only look need none of them.
func Machine() Option { return func(l *loader) { l.machine = true } }

// setting is a value that does not come from the file.
type setting struct{ key, value, from string }

type loader struct {
	*reporter
	lookup func(string) (string, bool)
	sets   []setting
	base   string // where relative paths start
	// machine is set when what has to be on this machine is looked for.
	machine bool
}

// ErrUnreadable is a configuration file that is not there or cannot be read.
var ErrUnreadable = errors.New("the configuration file cannot be read")

type unreadable struct{ error }

func (u *unreadable) Unwrap() error        { return u.error }
func (u *unreadable) Is(target error) bool { return target == ErrUnreadable }

// origin tells where a configuration came from, and what of it could not be read.
type origin struct {
	file   string
	unread []Notice
}

// Load reads the file at path. An empty path means the defaults, with what the
// environment says. The error is [Errors], or [ErrUnreadable] when the file could
// not be read.
func Load(path string, opts ...Option) (*Config, error) {
	if path == "" {
		return load("", nil, opts)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		hint := ""
		switch {
		case errors.Is(err, fs.ErrNotExist):
			hint = "name another file with --config, or write one: `mahavishnu config show --defaults` prints a start"
		case errors.Is(err, fs.ErrPermission):
			hint = "run as a user who may read " + path
		}
		return nil, &unreadable{fault.New("read configuration", path, cause(err), hint)}
	}
	return load(path, text, opts)
}

// Parse is Load for text at hand; name stands for the file in messages, and
// its directory is where relative paths start.
func Parse(name string, text []byte, opts ...Option) (*Config, error) {
	if text == nil {
		text = []byte{}
	}
	return load(name, text, opts)
}

// load does the work; text is nil when there is no file.
func load(name string, text []byte, opts []Option) (*Config, error) {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	l := loader{reporter: newReporter(name, string(text)), lookup: os.LookupEnv}
	for _, o := range opts {
		o(&l)
	}
	base, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil, fault.New("find the directory of", name, err, "")
	}
	l.base = base
	c := Default()
	if text != nil {
		c.origin.file = name
		body := l.parseSyntax(text)
		if len(l.errs) > 0 {
			return nil, l.sorted()
		}
		l.decode(body, c)
	}
	l.environment(c)
	for _, s := range l.sets {
		l.setFromText(c, s)
	}
	l.secrets(c)
	l.chooseStorage(c)
	l.checkHomes(c)
	l.resolve(c)
	l.check(c)
	if len(l.errs) > 0 {
		return nil, l.sorted()
	}
	return c, nil
}

// environment applies the variables that fields name in their env tag. A
// secret may not be given in two places; anything else overrides the file.
func (l *loader) environment(c *Config) {
	eachSection(reflect.ValueOf(c).Elem(), "", func(path string, section reflect.Value) {
		suffix, ok := variableSuffix(path)
		if !ok {
			return
		}
		fields, _ := fieldsOf(section.Type())
		for _, f := range fields {
			name, key := f.env+suffix, join(path, f.name)
			value, set := l.lookup(name)
			if f.env == "" || !set || value == "" {
				continue
			}
			if isSecretField(fields, f) && l.given(key) {
				l.value(key, "is given both here and by the environment variable "+name+": keep one")
				continue
			}
			l.setText(section.FieldByIndex(f.index), setting{key, value, "environment variable " + name})
		}
	})
}

// variableSuffix is what the names of a section's variables end in: the region, in
// capitals, for a region's storage. Elements of lists have no variables.
func variableSuffix(path string) (suffix string, ok bool) {
	name, inRegion := strings.CutPrefix(path, "backup.replication.storages.")
	if !inRegion {
		return "", !strings.Contains(path, "[")
	}
	region, kind, _ := strings.Cut(name, ".")
	if kind == "" || strings.ContainsAny(kind, ".[") {
		return "", false
	}
	return "_" + strings.ToUpper(strings.ReplaceAll(region, "-", "_")), true
}

// isSecretField reports whether a field is a secret or names a secret's file.
func isSecretField(fields []field, f field) bool {
	if f.typ == secretType {
		return true
	}
	secret := strings.TrimSuffix(f.name, "_file")
	return secret != f.name && slices.ContainsFunc(fields, func(other field) bool { return other.name == secret && other.typ == secretType })
}
