package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// maxSecret is the longest secret file that is read, in bytes.
const maxSecret = 64 << 10

// secrets reads the file of every secret that has one, and refuses a secret
// that is given twice.
func (l *loader) secrets(c *Config) {
	var unread []unreadSecret
	eachSection(reflect.ValueOf(c).Elem(), "", func(path string, section reflect.Value) {
		fields, _ := fieldsOf(section.Type())
		for _, f := range fields {
			file := fileOf(fields, f)
			if f.typ != secretType || file == nil || section.FieldByIndex(file.index).String() == "" {
				continue
			}
			key, value := join(path, f.name), section.FieldByIndex(f.index)
			fileKey := join(path, file.name)
			if err := l.secret(key, value, fileKey, section.FieldByIndex(file.index)); err != nil {
				unread = append(unread, unreadSecret{fileKey, value, err})
			}
		}
	})
	l.unread(c, unread)
}

// unreadSecret is a secret whose file could not be read.
type unreadSecret struct {
	fileKey string
	secret  reflect.Value
	err     error
}

// unread refuses secrets that cannot be read. Storages that objects are spread over may be
// lost: as many of them as that are done without.
func (l *loader) unread(c *Config, all []unreadSecret) {
	spared := map[string]bool{} // keys of such storages
	c.eachPlace(func(k kinds) {
		if k.disperse == nil || !k.disperse.Enabled {
			return
		}
		var without []string
		for i := range k.disperse.Storages {
			at := element(k.key+".disperse.storages", i)
			if slices.ContainsFunc(all, func(u unreadSecret) bool { return strings.HasPrefix(u.fileKey, at+".") }) {
				without = append(without, at)
			}
		}
		for _, at := range without {
			spared[at] = len(without) <= k.disperse.Parity
		}
	})
	for _, u := range all {
		at, _, _ := strings.Cut(u.fileKey, "].")
		if !spared[at+"]"] {
			l.value(u.fileKey, u.err.Error())
			continue
		}
		u.secret.Set(reflect.ValueOf(Secret{missing: u.err.Error()}))
		c.origin.unread = append(c.origin.unread, Notice{u.fileKey, "The secret cannot be read, and this storage is done without: " + u.err.Error() + "."})
	}
}

// fileOf returns the field that names a secret's file; nil when there is none.
func fileOf(fields []field, secret field) *field {
	for i := range fields {
		if fields[i].name == secret.name+"_file" {
			return &fields[i]
		}
	}
	return nil
}

// secret reads one secret's file. It returns why the file cannot be read; what else is wrong
// it reports.
func (l *loader) secret(key string, secret reflect.Value, fileKey string, file reflect.Value) error {
	if l.given(key) && l.given(fileKey) {
		l.value(key, "is given twice, here and by "+fileKey+l.whence(fileKey)+": keep one")
		return nil
	}
	file.SetString(l.absolute(file.String()))
	text, err := readSecret(file.String())
	if err != nil {
		return err
	}
	secret.Set(reflect.ValueOf(NewSecret(text)))
	return nil
}

// whence says where a setting came from when that is not the file.
func (r *reporter) whence(key string) string {
	if from := r.from[key]; from != "" {
		return " (" + from + ")"
	}
	return ""
}

// readSecret reads a secret's file. Its errors never hold what the file does.
func readSecret(path string) (string, error) {
	if err := checkPrivate(path); err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", plainly(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return "", plainly(path, err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	switch {
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s is too long for a secret: is this the right file?", path)
	case len(text) == 0:
		return "", fmt.Errorf("%s is empty", path)
	case bytes.ContainsAny(text, "\n\r\x00"):
		return "", fmt.Errorf("%s holds more than one line: write the secret alone", path)
	}
	return string(text), nil
}

// checkPrivate refuses a file that is missing, not a file, or readable by
// everybody.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return plainly(path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if tooOpen(info.Mode().Perm()) {
		return fmt.Errorf("%s has mode %04o and can be read or changed by others: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// plainly turns a file system error into a sentence.
func plainly(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read by this user", path)
	}
	return fmt.Errorf("%s: %w", path, cause(err))
}
