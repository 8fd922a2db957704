package repository

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"mahavishnu/fault"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// The two copies of the configuration. Either is enough.
const (
	configName = "config"
	configCopy = "config.copy"
)

const (
	configMagic     = "MHVCONF\x00"
	configFormat    = 1
	configOverhead  = 8 + 4 + 4 + sha256.Size
	maxConfigSize   = 1 << 20
	keyCheckInfo    = "key check"
	paddingNone     = "none"
	padding64th     = "64th"
	repositoryIDLen = 16
)

// knownFeatures are the features this program knows: none yet beyond the
// format itself.
var knownFeatures = []string{}

// encodeConfig returns the object's bytes: magic, format, length, JSON, SHA-256.
func encodeConfig(c Config) ([]byte, error) {
	payload, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	out := append([]byte(configMagic), 0, 0, 0, 0, 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[8:], configFormat)
	binary.LittleEndian.PutUint32(out[12:], uint32(len(payload)))
	out = append(out, payload...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// decodeConfig checks and reads the object's bytes.
func decodeConfig(data []byte) (Config, error) {
	var c Config
	if len(data) < configOverhead || string(data[:8]) != configMagic {
		return c, fmt.Errorf("%w: it does not start like a repository's configuration", ErrDamaged)
	}
	end := len(data) - sha256.Size
	if sum := sha256.Sum256(data[:end]); !bytes.Equal(sum[:], data[end:]) {
		return c, fmt.Errorf("%w: the checksum does not match", ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(data[8:]); v != configFormat {
		return c, fmt.Errorf("%w: repository format %d, this program knows %d", ErrUnknownFeature, v, configFormat)
	}
	if int64(binary.LittleEndian.Uint32(data[12:])) != int64(end-16) {
		return c, fmt.Errorf("%w: its size does not fit its header", ErrDamaged)
	}
	if err := json.Unmarshal(data[16:end], &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return c, c.validate()
}

func (c Config) validate() error {
	if c.Version != configFormat {
		return fmt.Errorf("%w: repository format %d, this program knows %d", ErrUnknownFeature, c.Version, configFormat)
	}
	for _, f := range c.Required {
		if !slices.Contains(knownFeatures, f) {
			return fmt.Errorf("%w: %q", ErrUnknownFeature, f)
		}
	}
	if id, err := hex.DecodeString(c.ID); err != nil || len(id) != repositoryIDLen {
		return fmt.Errorf("%w: repository id %q", ErrDamaged, c.ID)
	}
	if c.Hash != SHA256 && c.Hash != BLAKE3 {
		return fmt.Errorf("%w: content hash %q", ErrUnknownFeature, c.Hash)
	}
	if c.Padding != paddingNone && c.Padding != padding64th {
		return fmt.Errorf("%w: padding %q", ErrUnknownFeature, c.Padding)
	}
	if err := c.Parity.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnknownFeature, err)
	}
	return nil
}

// newConfig fills in what CreateOptions leaves open.
func newConfig(o CreateOptions) Config {
	id := make([]byte, repositoryIDLen)
	_, _ = rand.Read(id) // never fails: it ends the program instead
	c := Config{
		Version: configFormat, ID: hex.EncodeToString(id), Required: []string{}, Optional: []string{},
		Hash: o.Hash, Chunker: o.Chunker, Padding: o.Padding, Parity: o.Parity,
	}
	if c.Hash == "" {
		c.Hash = SHA256
	}
	if c.Chunker == (Chunker{}) {
		c.Chunker = DefaultChunker()
	}
	if c.Padding == "" {
		c.Padding = padding64th
	}
	return c
}

func (c Config) rawID() []byte {
	id, _ := hex.DecodeString(c.ID) // validate has seen it
	return id
}

// keyCheck is what the right key ring says of the repository's id.
func keyCheck(keys *seal.Keys) string {
	return hex.EncodeToString(keys.Secret(keyCheckInfo, 16))
}

func checkKey(c Config, keys *seal.Keys) error {
	if subtle.ConstantTimeCompare([]byte(c.KeyCheck), []byte(keyCheck(keys))) != 1 {
		return ErrWrongKey
	}
	return nil
}

// readConfig returns the configuration from whichever copy is whole.
func readConfig(ctx context.Context, be storage.Backend) (Config, error) {
	const op = "open repository"
	first, err := readOneConfig(ctx, be, configName)
	switch {
	case err == nil || errors.Is(err, ErrUnknownFeature):
		return first, err
	case ctx.Err() != nil:
		return Config{}, fault.New(op, be.Location(), err, "")
	case storage.Unanswered(err): // asking for the copy would take as long again
		return Config{}, fault.New(op, be.Location(), outOfReach(err), "")
	}
	second, err2 := readOneConfig(ctx, be, configCopy)
	switch {
	case err2 == nil || errors.Is(err2, ErrUnknownFeature):
		return second, err2
	case ctx.Err() != nil: // which says more than that the first one is not there
		return Config{}, fault.New(op, be.Location(), err2, "")
	case errors.Is(err, storage.ErrNotFound) && errors.Is(err2, storage.ErrNotFound):
		return Config{}, fault.New(op, be.Location(), ErrNotRepository,
			"check the path and that the file system is mounted; the first backup through the configuration creates a repository")
	}
	for _, one := range []error{err, err2} {
		// Neither was damaged or on a bad sector: that is the storage as a whole, and told once.
		if !isDamage(err) && !isDamage(err2) && errors.Is(one, ErrUnreadable) && !errors.Is(one, syscall.EIO) {
			return Config{}, fault.New(op, be.Location(), outOfReach(one), "")
		}
	}
	hint := ""
	if errors.Is(err, ErrDamaged) || errors.Is(err2, ErrDamaged) {
		hint = "both copies of the configuration are unusable: `mahavishnu verify --repair` brings them back from a copy in another region, where one is configured"
	}
	return Config{}, fault.New(op, be.Location(), errors.Join(err, err2), hint)
}

func readOneConfig(ctx context.Context, be storage.Backend, name string) (Config, error) {
	data, err := storage.ReadAll(ctx, be, name, maxConfigSize, nil)
	if err != nil {
		return Config{}, readCause(ctx, err)
	}
	c, err := decodeConfig(data)
	if err != nil {
		return c, fault.New("read", name, err, "")
	}
	return c, nil
}
