package bus

import (
	"context"
	"crypto/rand"

	"github.com/nats-io/nats.go"

	"mahavishnu/messages"
)

// PublishRaw stores a payload under a job subject as it is, the way a person
// does with `nats pub -J`: no record is made and nothing is checked, the worker
// that takes the message does both. It returns the message's sequence, of which
// [messages.AdHocID] makes the job's id.
func (b *Bus) PublishRaw(ctx context.Context, subject string, payload []byte) (sequence uint64, err error) {
	m := nats.NewMsg(subject)
	m.Data = payload
	return b.publish(ctx, messages.StreamJobs, m, "raw-"+rand.Text())
}
