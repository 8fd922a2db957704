package repository

import (
	"context"
	"fmt"
	"strings"

	"mahavishnu/repository/blob"
	"mahavishnu/repository/parity"
	"mahavishnu/storage"
)

// parityOf returns the pack whose parity object has the name.
func parityOf(object string) (PackID, bool) {
	parts := strings.Split(object, "/")
	id, err := blob.ParsePackID(parts[len(parts)-1])
	return id, err == nil && parity.Name(id) == object
}

// stripeOf returns the stripe that has the name.
func stripeOf(object string) (parity.StripeID, bool) {
	rest, ok := strings.CutPrefix(object, parity.StripePrefix)
	id, err := parity.ParseStripeID(rest)
	return id, ok && err == nil
}

func isParityObject(object string) bool {
	_, ofPack := parityOf(object)
	_, stripe := stripeOf(object)
	return ofPack || stripe
}

// scrubParity checks a parity object or a stripe by its stored checksum.
func scrubParity(ctx context.Context, be storage.Backend, object string) error {
	info, err := be.Stat(ctx, object)
	if err != nil {
		return err
	}
	if info.Size > maxParitySize {
		return fmt.Errorf("%w: of %d bytes", parity.ErrDamaged, info.Size)
	}
	data, err := newBuffer(int(max(info.Size, 1)))
	if err != nil {
		return err
	}
	data = data[:info.Size]
	if err = storage.ReadRange(ctx, be, object, 0, data); err == nil {
		err = checkParity(object, data)
	}
	if freeErr := freeBuffer(data[:cap(data)]); err == nil {
		err = freeErr
	}
	return err
}

// checkParity compares the bytes of a parity object or a stripe with their
// checksum and with its name.
func checkParity(object string, data []byte) error {
	if err := parity.Scrub(data); err != nil {
		return err
	}
	if id, ok := parityOf(object); ok {
		_, err := parity.Parse(id, data)
		return err
	}
	id, _ := stripeOf(object)
	_, _, err := parity.ParseHead(id, data)
	return err
}
