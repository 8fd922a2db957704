package plan

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"mahavishnu/fault"
)

// publicPrefix says which kind of key follows.
const publicPrefix = "ed25519:"

// maxKeyFile bounds what is read of a key file, in bytes.
const maxKeyFile = 16 << 10

// pemType is the type of block of a private key (RFC 5958).
const pemType = "PRIVATE KEY"

// PublicKey checks what an approver signed. It is no secret: it stands in the
// configuration, as "ed25519:" and 32 bytes in base64.
type PublicKey struct{ key ed25519.PublicKey }

// PrivateKey signs. It has no way to be printed.
type PrivateKey struct{ key ed25519.PrivateKey }

// String returns the key as it stands in a configuration.
func (k PublicKey) String() string {
	if k.key == nil {
		return ""
	}
	return publicPrefix + base64.StdEncoding.EncodeToString(k.key)
}

// MarshalText is String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what String returned.
func (k *PublicKey) UnmarshalText(text []byte) error {
	encoded, ok := strings.CutPrefix(string(text), publicPrefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(raw) != ed25519.PublicKeySize {
		return fmt.Errorf("is not the public key of an approver: it is %s and 44 characters, as mahavishnu failover approver create prints it", publicPrefix)
	}
	k.key = raw
	return nil
}

// ParsePublicKey reads what String returned.
func ParsePublicKey(text string) (PublicKey, error) {
	var k PublicKey
	return k, k.UnmarshalText([]byte(text))
}

func (k PublicKey) verify(statement, proof []byte) bool {
	if len(k.key) != ed25519.PublicKeySize || len(proof) != ed25519.SignatureSize {
		return false
	}
	return ed25519.Verify(k.key, append([]byte(approvalDomain), statement...), proof)
}

func (k PrivateKey) sign(statement []byte) []byte {
	return ed25519.Sign(k.key, append([]byte(approvalDomain), statement...))
}

// Public returns the key that belongs into the configuration.
func (k PrivateKey) Public() PublicKey {
	public, _ := k.key.Public().(ed25519.PublicKey) // that is what it is
	return PublicKey{public}
}

// String hides the key.
func (PrivateKey) String() string { return "(private key)" }

// GoString hides the key.
func (PrivateKey) GoString() string { return "(private key)" }

// CreateKey makes a key and writes it into a new file that only its owner can read.
func CreateKey(path string) (PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return PrivateKey{}, fault.New("make key", path, err, "")
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return PrivateKey{}, fault.New("make key", path, err, "")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return PrivateKey{}, fault.New("make key", path, err, "")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return PrivateKey{}, fault.New("make key", path, err, "a key is never overwritten: choose another file")
	}
	if err != nil {
		return PrivateKey{}, fault.New("make key", path, err, "")
	}
	err = pem.Encode(f, &pem.Block{Type: pemType, Bytes: der})
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return PrivateKey{}, fault.New("make key", path, errors.Join(err, os.Remove(path)), "")
	}
	return PrivateKey{private}, nil
}

// ReadKey reads a private key. A file that others can read is refused.
func ReadKey(path string) (PrivateKey, error) {
	const op = "read approver's key"
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return PrivateKey{}, fault.New(op, path, err, "make one: mahavishnu failover approver create NAME --key-file "+path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return PrivateKey{}, fault.New(op, path, fmt.Errorf("others can read it (mode %04o)", info.Mode().Perm()), "chmod 600 "+path)
	case info.Size() > maxKeyFile || !info.Mode().IsRegular():
		return PrivateKey{}, fault.New(op, path, errors.New("it is no key file"), "")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return PrivateKey{}, fault.New(op, path, err, "")
	}
	k, err := parsePrivateKey(text)
	if err != nil {
		return PrivateKey{}, fault.New(op, path, err, "")
	}
	return k, nil
}

// parsePrivateKey reads a key file. Its errors never show what is in it.
func parsePrivateKey(text []byte) (PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return PrivateKey{}, errors.New("it holds no private key in PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return PrivateKey{}, errors.New("its private key cannot be read")
	}
	private, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, fmt.Errorf("it holds a %T, not an Ed25519 key", parsed)
	}
	return PrivateKey{private}, nil
}
