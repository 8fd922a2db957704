package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/fault"
	"mahavishnu/messages"
)

// MismatchError lists settings of existing streams and consumers that differ
// from what Provision was asked for. Nothing was changed.
type MismatchError struct{ Differences []string }

// Error implements error.
func (e *MismatchError) Error() string {
	return "existing streams have other settings: " + strings.Join(e.Differences, "; ")
}

// FaultHint implements the hint of package fault.
func (e *MismatchError) FaultHint() string {
	return "make the configuration agree with what is there, or start `mahavishnu up` or `mahavishnu scheduler` once with --update-streams to change what is there"
}

// Provision creates the streams, consumers and buckets that are missing and
// leaves alone what is as it should be, so it may run at every start and on
// several nodes at once. What differs is changed only with Options.Update;
// otherwise every difference is listed in a [*MismatchError].
//
// Consumers of regions that are no longer configured stay: whether their jobs
// still matter is for a person to say.
func Provision(ctx context.Context, c *Conn, o ProvisionOptions) error {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return fault.New("provision", "", err, "see regions and nats in the configuration")
	}
	var differences []string
	for _, want := range streams(o) {
		found, err := c.provisionStream(ctx, want, o.Update)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	for _, stream := range []string{messages.StreamJobs, messages.StreamEvents} {
		found, err := c.provisionConsumers(ctx, stream, consumers(stream, o), o.Update)
		if err != nil {
			return err
		}
		differences = append(differences, found...)
	}
	if len(differences) > 0 {
		return &MismatchError{Differences: differences}
	}
	return nil
}

func (o ProvisionOptions) check() error {
	if len(o.Regions) == 0 {
		return errors.New("no region is configured")
	}
	for _, r := range o.Regions {
		switch {
		case r == messages.AnyRegion:
			return errors.New(`"any" cannot be a region: it stands for every region`)
		case !messages.ValidName(r):
			return fmt.Errorf("%q cannot be a region: 1 to 64 letters, digits, '-' and '_', starting with a letter or digit", r)
		}
	}
	for _, r := range o.EventReaders {
		if !messages.ValidName(r) {
			return fmt.Errorf("%q cannot be an event reader", r)
		}
	}
	if o.Replicas > 5 || o.Replicas%2 == 0 {
		return fmt.Errorf("%d replicas: use 1, 3 or 5", o.Replicas)
	}
	return nil
}

func (c *Conn) provisionStream(ctx context.Context, want jetstream.StreamConfig, update bool) (differences []string, err error) {
	err = c.persist(ctx, "provision stream", want.Name, func(ctx context.Context) error {
		differences = nil
		stream, err := c.js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			_, err = c.js.CreateStream(ctx, want)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another node was faster
				stream, err = c.js.Stream(ctx, want.Name)
			}
		}
		if err != nil || stream == nil {
			return err
		}
		differences = streamDifferences(stream.CachedInfo().Config, want)
		if len(differences) == 0 || !update {
			return nil
		}
		differences = nil
		_, err = c.js.UpdateStream(ctx, want)
		return err
	})
	return differences, storageHint(err)
}

// storageHint explains the refusal people meet first: streams reserve their
// largest size when they are created.
func storageHint(err error) error {
	if err != nil && strings.Contains(err.Error(), "insufficient storage") {
		return fault.New("provision", "", err, "the NATS server lacks disk space for the streams (1 GiB): free some, or raise its max_file_store")
	}
	return err
}

func (c *Conn) provisionConsumers(ctx context.Context, stream string, want []jetstream.ConsumerConfig, update bool) (differences []string, err error) {
	existing := map[string]jetstream.ConsumerConfig{}
	var s jetstream.Stream
	err = c.persist(ctx, "list consumers of", stream, func(ctx context.Context) error {
		clear(existing)
		var err error
		if s, err = c.js.Stream(ctx, stream); err != nil {
			return err
		}
		found := s.ListConsumers(ctx)
		for info := range found.Info() {
			existing[info.Name] = info.Config
		}
		return found.Err()
	})
	if err != nil {
		return nil, err
	}
	for _, w := range want {
		have, ok := existing[w.Durable]
		found := consumerDifferences(stream, have, w)
		switch {
		case ok && len(found) == 0:
			continue
		case ok && !update:
			differences = append(differences, found...)
			continue
		}
		err := c.persist(ctx, "provision consumer", stream+" "+w.Durable, func(ctx context.Context) error {
			if ok {
				_, err := s.UpdateConsumer(ctx, w)
				return err
			}
			_, err := s.CreateConsumer(ctx, w) // the same settings twice are no error
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return differences, nil
}

// difference is one setting as it is and as it should be.
type difference struct {
	setting    string
	have, want any
}

func describe(object string, all []difference) []string {
	var out []string
	for _, d := range all {
		if have, want := fmt.Sprint(d.have), fmt.Sprint(d.want); have != want {
			out = append(out, fmt.Sprintf("%s has %s %s instead of %s", object, d.setting, have, want))
		}
	}
	return out
}

func streamDifferences(have, want jetstream.StreamConfig) []string {
	slices.Sort(have.Subjects)
	slices.Sort(want.Subjects)
	return describe(want.Name, []difference{
		{"subjects", have.Subjects, want.Subjects},
		{"retention", have.Retention, want.Retention},
		{"storage", have.Storage, want.Storage},
		{"replicas", have.Replicas, want.Replicas},
		{"discard policy", have.Discard, want.Discard},
		{"max age", have.MaxAge, want.MaxAge},
		{"max bytes", have.MaxBytes, want.MaxBytes},
		{"max messages", have.MaxMsgs, want.MaxMsgs},
		{"max messages per subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject},
		{"max message size", have.MaxMsgSize, want.MaxMsgSize},
		{"duplicate window", have.Duplicates, want.Duplicates},
		{"direct reads", have.AllowDirect, want.AllowDirect},
		{"deny delete", have.DenyDelete, want.DenyDelete},
		{"deny purge", have.DenyPurge, want.DenyPurge},
		{"rollup", have.AllowRollup, want.AllowRollup},
		{"no acknowledgements", have.NoAck, want.NoAck},
		{"marker age", have.SubjectDeleteMarkerTTL, want.SubjectDeleteMarkerTTL},
	})
}

func consumerDifferences(stream string, have, want jetstream.ConsumerConfig) []string {
	return describe(stream+" consumer "+want.Durable, []difference{
		{"filter", have.FilterSubject, want.FilterSubject},
		{"acknowledgement policy", have.AckPolicy, want.AckPolicy},
		{"ack wait", have.AckWait, want.AckWait},
		{"max deliver", have.MaxDeliver, want.MaxDeliver},
		{"back-off", len(have.BackOff), 0},
		{"max ack pending", have.MaxAckPending, want.MaxAckPending},
		{"max waiting", have.MaxWaiting, want.MaxWaiting},
		{"priority policy", have.PriorityPolicy, want.PriorityPolicy},
		{"priority groups", have.PriorityGroups, want.PriorityGroups},
	})
}
