package repository

import (
	"context"
	"errors"

	"mahavishnu/repository/index"
	"mahavishnu/repository/ledger"
	"mahavishnu/repository/pack"
	"mahavishnu/repository/seal"
	"mahavishnu/storage"
)

// Scrub reads a whole object and compares its stored checksum. It needs no key,
// so it can run beside the storage, and finds whatever happened to the bytes
// since they were put. A nil problem means that they are as written. The error
// is about the check itself.
func Scrub(ctx context.Context, be storage.Backend, object string) (*Problem, error) {
	problem := &Problem{Object: object, Kind: objectKind(object)}
	var err error
	switch problem.Kind {
	case ObjectConfig:
		err = scrubWhole(ctx, be, object, maxConfigSize, func(data []byte) error { _, err := decodeConfig(data); return err })
	case ObjectPack:
		id, _ := parsePackObject(object)
		err = scrubPack(ctx, be, id)
	case ObjectParity:
		err = scrubParity(ctx, be, object)
	case ObjectIndex:
		err = scrubWhole(ctx, be, object, index.MaxSize, seal.Scrub)
	case ObjectSnapshot, ObjectLedger, ObjectKeep:
		err = scrubWhole(ctx, be, object, max(maxSnapshotSize, 2*ledger.MaxSize), seal.Scrub)
	default:
		problem.Harmless, problem.Err = true, errors.New("not an object of a repository")
		return problem, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil:
		return nil, nil
	case errors.Is(err, storage.ErrNotFound):
		err = ErrMissing
	case !isDamage(err) && !errors.Is(err, ErrUnknownFeature):
		return nil, err
	}
	problem.Err = damage(err)
	return problem, nil
}

func scrubWhole(ctx context.Context, be storage.Backend, object string, limit int64, check func([]byte) error) error {
	data, err := storage.ReadAll(ctx, be, object, limit, nil)
	if err != nil {
		return err
	}
	return check(data)
}

func scrubPack(ctx context.Context, be storage.Backend, id PackID) error {
	info, err := be.Stat(ctx, id.Object())
	if err != nil {
		return err
	}
	if info.Size > pack.MaxSize {
		return pack.ErrNotPack
	}
	var buffers scratch
	_, err = streamPack(ctx, be, &buffers, packObject{id, info.Size})
	return errors.Join(err, buffers.close())
}
