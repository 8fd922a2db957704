package bus

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages"
)

// Sweep moves messages of DR_JOBS that no consumer will ever deliver to
// DR_DEAD, with a sentence that tells what is wrong with their subject, and
// returns their letters. The leader calls it every few seconds.
//
// The stream takes everything below dr.jobs, so that a mistyped kind or region
// is kept and answered instead of vanishing; the filters of a work queue's
// consumers must not overlap, so none of them can be "all the rest".
//
// It also removes what the server says of messages that were deleted while a
// worker held them.
func (b *Bus) Sweep(ctx context.Context) ([]messages.DeadLetter, error) {
	if err := b.sweepDeletions(ctx); err != nil {
		return nil, err
	}
	consumers, err := b.jobConsumers(ctx)
	if err != nil {
		return nil, err
	}
	var info *jetstream.StreamInfo
	err = b.c.persist(ctx, "list subjects of", messages.StreamJobs, func(ctx context.Context) error {
		var err error
		info, err = b.jobs.Info(ctx, jetstream.WithSubjectFilter(messages.SubjectJobs))
		return err
	})
	if err != nil {
		return nil, err
	}
	covered, regions := map[string]bool{}, []string{}
	for _, c := range consumers {
		covered[c.Config.FilterSubject] = true
		if _, region, err := messages.SplitJobSubject(c.Config.FilterSubject); err == nil && !slices.Contains(regions, region) {
			regions = append(regions, region)
		}
	}
	slices.Sort(regions)
	var swept []messages.DeadLetter
	for subject := range info.State.Subjects {
		if covered[subject] {
			continue
		}
		letters, err := b.sweepSubject(ctx, subject, unrouted(subject, regions))
		swept = append(swept, letters...)
		if err != nil {
			return swept, err
		}
	}
	return swept, nil
}

func (b *Bus) sweepSubject(ctx context.Context, subject, reason string) ([]messages.DeadLetter, error) {
	var letters []messages.DeadLetter
	for sequence := uint64(1); ; sequence++ {
		// Read from the leader: a replica behind it may still have what is gone.
		var m *jetstream.RawStreamMsg
		err := b.c.persist(ctx, "read", subject, func(ctx context.Context) error {
			var err error
			if m, err = b.jobs.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(subject)); errors.Is(err, jetstream.ErrMsgNotFound) {
				return ErrNotFound
			}
			return err
		})
		if errors.Is(err, ErrNotFound) {
			return letters, nil
		}
		if err != nil {
			return letters, err
		}
		letter := messages.NewDeadLetter(messages.DeadUnrouted, m.Subject, m.Data, reason, b.c.clock.Now())
		letter.MessageSequence, letter.Job = m.Sequence, m.Header.Get(messages.HeaderJob)
		if letter.Sequence, err = b.Dead().Publish(ctx, letter); err != nil {
			return letters, err
		}
		if err := b.Drop(ctx, m.Sequence); err != nil {
			return letters, err
		}
		letters = append(letters, letter)
		sequence = m.Sequence
	}
}

// deletedWhileHeld is the server's reason for a termination that is none.
const deletedWhileHeld = "Unacknowledged message was deleted"

// sweepDeletions removes letters about held messages that were deleted. That is
// how the messages of finished jobs go (see Drop), and whatever else deletes a
// message, the record of a job that a worker held is there to wake it again:
// nobody has anything to do about such a letter.
func (b *Bus) sweepDeletions(ctx context.Context) error {
	return b.c.read(ctx, messages.StreamDead, terminatedAdvisory, time.Time{}, func(m stored) error {
		if l := letter(m.subject, m.sequence, m.time, m.data); l.Cause == messages.DeadTerminated && strings.HasSuffix(l.Reason, deletedWhileHeld) {
			return b.Dead().Remove(ctx, l.Sequence)
		}
		return nil
	})
}

// unrouted is the sentence for a subject without a consumer.
func unrouted(subject string, regions []string) string {
	kind, region, err := messages.SplitJobSubject(subject)
	if err != nil {
		return err.Error()
	}
	if _, err := messages.ParseKind(kind); err != nil {
		return err.Error()
	}
	return messages.RefuseRegion(region, regions).Error()
}

// jobConsumers lists the consumers of DR_JOBS.
func (b *Bus) jobConsumers(ctx context.Context) ([]*jetstream.ConsumerInfo, error) {
	var all []*jetstream.ConsumerInfo
	err := b.c.persist(ctx, "list consumers of", messages.StreamJobs, func(ctx context.Context) error {
		all = nil
		list := b.jobs.ListConsumers(ctx)
		for info := range list.Info() {
			all = append(all, info)
		}
		return list.Err()
	})
	slices.SortFunc(all, func(x, y *jetstream.ConsumerInfo) int { return strings.Compare(x.Name, y.Name) })
	return all, err
}
