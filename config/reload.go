package config

import (
	"fmt"
	"reflect"
	"slices"

	"mahavishnu/fault"
)

// Reload loads the file at path in place of old, with the options old was
// loaded with. When it is bad, fresh is old itself and the error says that the
// old configuration stays in force. changed lists the dotted paths that differ;
// restart lists those among them that take effect only when the process is
// started again: hand fresh to the rooms, and tell the operator about restart.
func Reload(old *Config, path string, opts ...Option) (fresh *Config, changed, restart []string, err error) {
	fresh, err = Load(path, opts...)
	if err != nil {
		return old, nil, nil, fault.New("reload configuration", path,
			fmt.Errorf("the configuration loaded before stays in force: %w", err), "mend the file, try it with `mahavishnu config check`, and send SIGHUP again")
	}
	changed, restart = Differences(old, fresh)
	return fresh, changed, restart, nil
}

// Differences lists the dotted paths of the settings that differ, sorted, and
// those among them that only a restart brings into force.
func Differences(a, b *Config) (changed, restart []string) {
	d := &difference{}
	d.sections(reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem(), "", false)
	slices.Sort(d.changed)
	slices.Sort(d.restart)
	return d.changed, d.restart
}

type difference struct{ changed, restart []string }

func (d *difference) sections(a, b reflect.Value, path string, restart bool) {
	fields, rest := fieldsOf(a.Type())
	for _, f := range fields {
		key, needs := join(path, f.name), restart || f.restart
		x, y := a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		if isSection(f.typ) {
			d.sections(x, y, key, needs)
		} else if f.typ.Kind() == reflect.Map {
			d.maps(x, y, key, needs)
		} else {
			d.note(key, needs, reflect.DeepEqual(x.Interface(), y.Interface()))
		}
	}
	if rest != nil {
		d.maps(a.FieldByIndex(rest), b.FieldByIndex(rest), path, restart)
	}
}

// maps compares element by element; one that came or went is a change of its
// name.
func (d *difference) maps(a, b reflect.Value, path string, restart bool) {
	for _, key := range a.MapKeys() {
		x, y := a.MapIndex(key), b.MapIndex(key)
		if y.IsValid() {
			d.sections(x, y, join(path, key.String()), restart)
		} else {
			d.note(join(path, key.String()), restart, false)
		}
	}
	for _, key := range b.MapKeys() {
		if !a.MapIndex(key).IsValid() {
			d.note(join(path, key.String()), restart, false)
		}
	}
}

func (d *difference) note(key string, restart, same bool) {
	if same {
		return
	}
	d.changed = append(d.changed, key)
	if restart {
		d.restart = append(d.restart, key)
	}
}
