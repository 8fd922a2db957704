package dispersed

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"mahavishnu/storage/backend"
)

// Names below the area. Everything about an object is below a directory that is named by
// the hash of its name, since a name may be as long as names can be.

// dirOf is the directory of an object, with the slash.
func dirOf(name string) string {
	h := hashName(name)
	return area + hex.EncodeToString(h[:]) + "/"
}

// stagedPath is where shards of a version wait to take their place.
func stagedPath(name string, v version) string { return dirOf(name) + stagedPrefix + v.String() }

const stagedPrefix = "shard-"

func (v version) String() string { return fmt.Sprintf("%016x-%s", v.seq, v.gen) }

func parseVersion(s string) (version, bool) {
	seq, gen, ok := strings.Cut(s, "-")
	raw, err := hex.DecodeString(gen)
	if !ok || err != nil || len(raw) != len(generation{}) || len(seq) != 16 {
		return version{}, false
	}
	n, err := strconv.ParseUint(seq, 16, 64)
	v := version{seq: n, gen: generation(raw)}
	return v, err == nil && v.String() == s
}

// damagedError says what is wrong, on one line; it is backend.ErrDamaged.
func damagedError(reasons []string) error {
	return tooDamaged(strings.Join(append([]string{"too few of its shards are good"}, reasons...), "; "))
}

type tooDamaged string

func (e tooDamaged) Error() string { return string(e) }

func (e tooDamaged) Unwrap() error { return backend.ErrDamaged }

// Cause returns why an object of a dispersed storage cannot be read, without its name: the
// same for all that are lost for the same reason. "" says that err tells no such thing.
func Cause(err error) string {
	if d, ok := errors.AsType[tooDamaged](err); ok {
		return string(d)
	}
	return ""
}
