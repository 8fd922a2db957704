package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mahavishnu/fault"
)

const (
	fileFormat  = "mahavishnu key ring"
	fileVersion = 1
	maxFileSize = 1 << 20

	stateCurrent = "current"
	stateRetired = "retired"
	stateDropped = "dropped"
)

// fileRing is the key ring's file: indented JSON. The checksum is the SHA-256
// of the compact JSON with an empty checksum.
type fileRing struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Warning  string    `json:"warning"`
	Created  time.Time `json:"created"`
	IDKey    string    `json:"id_key"`
	Keys     []fileKey `json:"keys"`
	Checksum string    `json:"checksum"`
}

type fileKey struct {
	Version uint32    `json:"version"`
	Created time.Time `json:"created"`
	State   string    `json:"state"` // "current", "retired" or "dropped"
	Key     string    `json:"key"`   // empty when dropped
	// Dropped and Fingerprint are of a dropped version only.
	Dropped     time.Time `json:"dropped,omitzero"`
	Fingerprint string    `json:"fingerprint,omitempty"`
}

const fileWarning = "Whoever loses this file loses every backup. Whoever reads it reads every backup. Keep a copy away from this machine."

// Create makes a new ring and writes it to path, which must not exist.
func Create(path string, now time.Time) (*Ring, error) {
	r := Generate(now)
	if err := r.WriteNew(path); err != nil {
		return nil, err
	}
	return r, nil
}

// Load reads the ring at path. A file that others may read is refused.
func Load(path string) (*Ring, error) {
	const op = "read key ring"
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(op, path, ErrNoRing,
			"put your copy of it there, or, before the first backup, make one: mahavishnu key create --key "+path)
	case err != nil:
		return nil, fault.New(op, path, cause(err), "run as the owner of the file")
	}
	defer f.Close()
	open := checkMode(f)
	if open != nil && !errors.Is(open, ErrMode) {
		return nil, fault.New(op, path, open, "name the file of the key ring with --key FILE or encryption.key_path")
	}
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(&limitedFile{f, maxFileSize}); err != nil {
		return nil, fault.New(op, path, cause(err), "")
	}
	// What is no key ring needs more than another mode.
	r, err := Parse(buf.Bytes())
	if err != nil {
		if open != nil {
			err = fmt.Errorf("%w; besides, %w", err, open)
		}
		return nil, fault.New(op, path, err, "put your copy of the key ring in its place, or recover it from the printed text")
	}
	if open != nil {
		return nil, fault.New(op, path, open, "run `chmod 600 "+path+"`, and rotate the key if others may have read it")
	}
	return r, nil
}

// Rotate adds a version to the ring at path and returns the new ring. Two
// rotations at once leave two versions. A symbolic link stays one: it is what it
// leads to that is replaced, else one ring would become two that differ.
func Rotate(path string, now time.Time) (*Ring, error) {
	return change(path, func(r *Ring) (*Ring, error) { return r.Rotated(now), nil })
}

// Drop takes a version's key out of the ring at path and returns the new ring.
// Nothing sealed with that version can be read afterwards: the caller has made
// sure that there is nothing.
func Drop(path string, number uint32, now time.Time) (*Ring, error) {
	return change(path, func(r *Ring) (*Ring, error) {
		next, err := r.Without(number, now)
		if err != nil {
			return nil, fault.New("drop key from", path, err, "")
		}
		return next, nil
	})
}

// change replaces the ring at path with another one, one caller at a time.
func change(path string, fn func(*Ring) (*Ring, error)) (*Ring, error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	unlock, err := lock(path)
	if err != nil {
		return nil, fault.New("lock key ring", path, err, "")
	}
	defer unlock()
	r, err := Load(path)
	if err != nil {
		return nil, err
	}
	if r, err = fn(r); err != nil {
		return nil, err
	}
	if err := write(path, r.marshal(), os.Rename); err != nil {
		return nil, fault.New("write key ring", path, cause(err), "")
	}
	return r, nil
}

// WriteNew writes the ring to path, which must not exist.
func (r *Ring) WriteNew(path string) error {
	const op = "create key ring"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fault.New(op, path, cause(err), "")
	}
	// A hard link replaces nothing: an existing ring is never lost.
	link := func(temp, final string) error {
		if err := os.Link(temp, final); err != nil {
			return err
		}
		return os.Remove(temp)
	}
	err := write(path, r.marshal(), link)
	if errors.Is(err, fs.ErrExist) {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return fault.New(op, path, errors.New("it is a directory"), "name a file in it, for instance --key "+filepath.Join(path, "mahavishnu.key"))
		}
		return fault.New(op, path, ErrExists, "use it, or name another file with --key FILE: a key ring is never overwritten")
	}
	if err != nil {
		return fault.New(op, path, cause(err), "run as a user who may write there, or name another file with --key FILE")
	}
	return nil
}

// write puts data under path in one durable step.
func write(path string, data []byte, publish func(temp, final string) error) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".key-ring-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = publish(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(dir)
}

// Parse reads the text of a key ring's file.
func Parse(data []byte) (*Ring, error) {
	var file fileRing
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: more text after its end", ErrDamaged)
	}
	if file.Format != fileFormat || file.Version != fileVersion {
		return nil, fmt.Errorf("%w: format %q version %d, want %q version %d",
			ErrDamaged, file.Format, file.Version, fileFormat, fileVersion)
	}
	if file.Checksum != file.sum() {
		return nil, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	r := &Ring{created: file.Created}
	if err := parseKey(r.idKey[:], file.IDKey); err != nil {
		return nil, fmt.Errorf("%w: id key: %w", ErrDamaged, err)
	}
	for i, k := range file.Keys {
		v := version{number: k.Version, created: k.Created}
		if k.Version != uint32(i)+1 {
			return nil, fmt.Errorf("%w: key version %d where %d belongs", ErrDamaged, k.Version, i+1)
		}
		if k.State == stateDropped {
			v.dropped, v.fingerprint = k.Dropped, k.Fingerprint
		} else if err := parseKey(v.key[:], k.Key); err != nil {
			return nil, fmt.Errorf("%w: key version %d: %w", ErrDamaged, k.Version, err)
		}
		r.versions = append(r.versions, v)
	}
	return r, r.check()
}

// check refuses a ring that cannot seal, or that was put together wrongly.
func (r *Ring) check() error {
	if len(r.versions) == 0 {
		return fmt.Errorf("%w: it has no key", ErrDamaged)
	}
	for i, v := range r.versions {
		gone := !v.dropped.IsZero() || v.fingerprint != ""
		switch {
		case gone && i == len(r.versions)-1:
			return fmt.Errorf("%w: the last version has no key", ErrDamaged)
		case gone && (v.dropped.IsZero() || len(v.fingerprint) != fingerprintLen || strings.Trim(v.fingerprint, "0123456789abcdef-") != ""):
			return fmt.Errorf("%w: key version %d: not what dropping leaves", ErrDamaged, v.number)
		}
	}
	return nil
}

func parseKey(dst []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(dst) {
		return fmt.Errorf("not %d bytes in hexadecimal", len(dst)) // never show what is there
	}
	copy(dst, b)
	return nil
}

// marshal returns the text of the ring's file.
func (r *Ring) marshal() []byte {
	file := fileRing{
		Format: fileFormat, Version: fileVersion, Warning: fileWarning,
		Created: r.created, IDKey: hex.EncodeToString(r.idKey[:]),
	}
	for _, v := range r.versions {
		k := fileKey{Version: v.number, Created: v.created, State: stateRetired, Key: hex.EncodeToString(v.key[:])}
		switch {
		case !v.dropped.IsZero():
			k.State, k.Key, k.Dropped, k.Fingerprint = stateDropped, "", v.dropped, v.fingerprint
		case v.number == r.Current():
			k.State = stateCurrent
		}
		file.Keys = append(file.Keys, k)
	}
	file.Checksum = file.sum()
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		panic("keyring: " + err.Error()) // strings, numbers and times of years 0 to 9999
	}
	return append(data, '\n')
}

func (f fileRing) sum() string {
	f.Checksum = ""
	data, err := json.Marshal(f)
	if err != nil {
		return "" // a year JSON cannot say; no checksum is empty
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// cause drops the path that an *fs.PathError repeats.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// limitedFile reads at most left bytes and refuses more.
type limitedFile struct {
	f    *os.File
	left int
}

func (l *limitedFile) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("%w: larger than any key ring", ErrDamaged)
	}
	n, err := l.f.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
