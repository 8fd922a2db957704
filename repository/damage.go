package repository

import (
	"errors"
	"fmt"

	"mahavishnu/repository/compress"
	"mahavishnu/repository/index"
	"mahavishnu/repository/keyring"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/parity"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// damages are the reasons that mean "stored bytes are not what was written".
var damages = []error{
	seal.ErrOpen, seal.ErrNotSealed, seal.ErrChecksum,
	pack.ErrNotPack, pack.ErrChecksum, pack.ErrOther, pack.ErrRecord,
	index.ErrCorrupt, ledger.ErrCorrupt, parity.ErrDamaged, parity.ErrOther, parity.ErrBeyond, compress.ErrCorrupt, storage.ErrShort, storage.ErrOversize,
}

// damage marks an error as damage of the repository if it is, so that callers
// need to know ErrDamaged and ErrBlobMissing only. A missing key or a newer
// format is no damage, and neither is a storage that does not answer.
func damage(err error) error {
	if err == nil || errors.Is(err, ErrDamaged) || errors.Is(err, keyring.ErrNoVersion) {
		return err
	}
	for _, d := range damages {
		if errors.Is(err, d) {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	if errors.Is(err, storage.ErrDamaged) && !mayPass(err) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// mayPass tells bytes that were damaged on their way, and may arrive well another time,
// from what the storage itself says is lost.
func mayPass(err error) bool {
	_, temporary := errors.AsType[*storage.TemporaryError](err)
	return temporary
}

// isDamage tells damage from trouble that may pass.
func isDamage(err error) bool { return errors.Is(damage(err), ErrDamaged) }
