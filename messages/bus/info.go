package bus

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages"
)

// QueueInfo tells how the queue is, for status screens.
type QueueInfo struct {
	// Messages and Bytes are of DR_JOBS, Dead counts the messages of DR_DEAD.
	Messages, Bytes, Dead uint64
	// Leader is the server that leads DR_JOBS; "" when it stands alone.
	Leader   string
	Replicas int
	// Consumers are those of DR_JOBS, by name.
	Consumers []ConsumerInfo
}

// ConsumerInfo is the queue of one kind and region.
type ConsumerInfo struct {
	Kind   messages.Kind
	Region string
	// Waiting messages were not delivered yet; Held ones were, and are worked
	// on or wait for their delay.
	Waiting, Held uint64
	// Workers counts the pulls that wait for a message.
	Workers int
}

// Info tells how the queue is.
func (b *Bus) Info(ctx context.Context) (QueueInfo, error) {
	var q QueueInfo
	for name, s := range map[string]jetstream.Stream{messages.StreamJobs: b.jobs, messages.StreamDead: b.dead} {
		var info *jetstream.StreamInfo
		err := b.c.persist(ctx, "look at stream", name, func(ctx context.Context) error {
			var err error
			info, err = s.Info(ctx)
			return err
		})
		if err != nil {
			return QueueInfo{}, err
		}
		if name == messages.StreamDead {
			q.Dead = info.State.Msgs
			continue
		}
		q.Messages, q.Bytes, q.Replicas = info.State.Msgs, info.State.Bytes, info.Config.Replicas
		if info.Cluster != nil {
			q.Leader = info.Cluster.Leader
		}
	}
	consumers, err := b.jobConsumers(ctx)
	if err != nil {
		return QueueInfo{}, err
	}
	for _, c := range consumers {
		kind, region, err := messages.SplitJobSubject(c.Config.FilterSubject)
		if err != nil {
			continue // somebody's own consumer on another subject
		}
		q.Consumers = append(q.Consumers, ConsumerInfo{
			Kind: messages.Kind(kind), Region: region,
			Waiting: c.NumPending, Held: uint64(c.NumAckPending), Workers: c.NumWaiting,
		})
	}
	return q, nil
}
