package replication

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Prefix is where replication keeps what it notes in a storage. It is never copied.
const Prefix = "replication/"

// errRecord means that the bytes are not a record as replication writes it.
var errRecord = errors.New("the record is damaged")

const (
	// maxRecord bounds what is read of one small record, in bytes.
	maxRecord = 64 << 10
	sumSize   = 8
)

// sealRecord returns the bytes of a small record: JSON, then its XXH64.
func sealRecord(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return sum(data), nil
}

// openRecord is the reverse of sealRecord.
func openRecord(data []byte, v any) error {
	body, err := unsum(data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	return nil
}

// sum appends the XXH64 of all bytes before, as every object of a repository has it.
func sum(data []byte) []byte { return binary.LittleEndian.AppendUint64(data, xxhash.Sum64(data)) }

// unsum compares it and takes it off.
func unsum(data []byte) ([]byte, error) {
	n := len(data) - sumSize
	if n < 0 {
		return nil, fmt.Errorf("%w: %d bytes are none", errRecord, len(data))
	}
	if xxhash.Sum64(data[:n]) != binary.LittleEndian.Uint64(data[n:]) {
		return nil, fmt.Errorf("%w: its checksum is not that of its bytes", errRecord)
	}
	return data[:n], nil
}
