package bus

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mahavishnu/messages"
)

const (
	defaultAckWait  = 30 * time.Second
	defaultEventAge = 30 * 24 * time.Hour
	deadAge         = 90 * 24 * time.Hour

	// duplicateWindow is how long a stream remembers message ids. Records, not
	// this window, make submitting idempotent; it only spares double wake-ups.
	duplicateWindow = 2 * time.Minute

	// maxAckPending bounds the messages of one consumer that are held: running
	// jobs and those handed back with a delay, which keep their place. It only
	// has to be far above what a system runs at once.
	maxAckPending = 50_000
	// maxWaiting bounds the outstanding pulls of one consumer: one a worker.
	maxWaiting = 16_384

	jobsMaxBytes   = 256 << 20
	eventsMaxBytes = 512 << 20
	deadMaxBytes   = 256 << 20

	// removedFor is how long a removed key leaves a marker behind, for watchers
	// that look away for a while.
	removedFor = time.Hour

	nearestGroup = "nearest"

	maxDeliveriesAdvisory = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES." + messages.StreamJobs + ".>"
	terminatedAdvisory    = "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED." + messages.StreamJobs + ".>"
)

// ProvisionOptions say what to create. Regions is required.
type ProvisionOptions struct {
	// Regions are all regions of the system; `any` is always there.
	Regions []string
	// Replicas is 1 for one server and 3 in a cluster; 0 is 1.
	Replicas int
	// AckWait is how long a worker may be silent before its job goes to
	// another; 0 is 30 seconds.
	AckWait time.Duration
	// EventReaders get a durable place in DR_EVENTS each.
	EventReaders []string
	// EventAge is how long events are kept; 0 is 30 days.
	EventAge time.Duration
	// Update changes existing streams and consumers that differ. Without it a
	// difference is a [*MismatchError].
	Update bool
}

func (o ProvisionOptions) withDefaults() ProvisionOptions {
	if o.Replicas <= 0 {
		o.Replicas = 1
	}
	if o.AckWait <= 0 {
		o.AckWait = defaultAckWait
	}
	if o.EventAge <= 0 {
		o.EventAge = defaultEventAge
	}
	return o
}

func streams(o ProvisionOptions) []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{
		{
			Name: messages.StreamJobs, Description: "Jobs: a message is a wake-up, the record in dr_jobs is the truth",
			Subjects:  []string{messages.SubjectJobs},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, MaxBytes: jobsMaxBytes,
			AllowDirect: true,
		},
		{
			Name: messages.StreamEvents, Description: "What became of every job",
			Subjects: []string{messages.SubjectEvents},
			Discard:  jetstream.DiscardOld, MaxBytes: eventsMaxBytes, MaxAge: o.EventAge,
			AllowDirect: true,
		},
		{
			// Full means that letters are refused and their messages stay where
			// they are: better a loud queue than a dead letter nobody saw.
			Name: messages.StreamDead, Description: "Jobs nobody can run, with the reason",
			Subjects: []string{messages.SubjectDead, maxDeliveriesAdvisory, terminatedAdvisory},
			Discard:  jetstream.DiscardNew, MaxBytes: deadMaxBytes, MaxAge: deadAge,
			AllowDirect: true,
		},
		{
			Name: messages.StreamAudit, Description: "Who did what; nothing is ever deleted",
			Subjects: []string{messages.SubjectAudit},
			Discard:  jetstream.DiscardNew, MaxBytes: -1,
			DenyDelete: true, DenyPurge: true, AllowDirect: true,
		},
		bucket(messages.BucketJobs, "The truth about every job", false),
		bucket(messages.BucketLeases, "Who leads", false),
		bucket(messages.BucketCatalog, "What snapshots there are: a cache of storage", true),
		bucket(messages.BucketNodes, "Which nodes there are", true),
	}
	for i := range all {
		s := &all[i]
		s.Storage, s.Replicas, s.Duplicates = jetstream.FileStorage, o.Replicas, duplicateWindow
		s.MaxMsgs, s.MaxConsumers, s.MaxMsgSize = -1, -1, -1
		if s.MaxMsgsPerSubject == 0 {
			s.MaxMsgsPerSubject = -1
		}
	}
	return all
}

// bucket is a key-value bucket's stream: history 1, no expiry. Direct reads
// may be answered by any replica, a little behind the leader; records and
// leases are read from the leader only.
func bucket(name, description string, direct bool) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + name, Description: description,
		Subjects: []string{"$KV." + name + ".>"},
		Discard:  jetstream.DiscardNew, MaxBytes: -1, MaxMsgsPerSubject: 1,
		AllowRollup: true, DenyDelete: true, AllowDirect: direct,
		AllowMsgTTL: true, SubjectDeleteMarkerTTL: removedFor,
	}
}

// consumers are the durable pull consumers of a stream. Those of DR_JOBS are
// one a kind and region: filters of a work queue must not overlap, and a
// worker then pulls exactly what it can run.
func consumers(stream string, o ProvisionOptions) []jetstream.ConsumerConfig {
	var all []jetstream.ConsumerConfig
	switch stream {
	case messages.StreamJobs:
		for _, k := range messages.Kinds() {
			for _, r := range append([]string{messages.AnyRegion}, o.Regions...) {
				all = append(all, jobConsumer(k, r, o))
			}
		}
	case messages.StreamEvents:
		for _, reader := range o.EventReaders {
			all = append(all, jetstream.ConsumerConfig{
				Durable: messages.EventReaderName(reader), AckPolicy: jetstream.AckExplicitPolicy,
				AckWait: o.AckWait, MaxDeliver: -1, MaxAckPending: 1000, MaxWaiting: 512,
			})
		}
	}
	return all
}

func jobConsumer(k messages.Kind, region string, o ProvisionOptions) jetstream.ConsumerConfig {
	c := jetstream.ConsumerConfig{
		Durable:       messages.ConsumerName(k, region),
		FilterSubject: messages.JobSubject(k, region),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       o.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: maxAckPending,
		MaxWaiting:    maxWaiting,
	}
	if region == messages.AnyRegion {
		c.PriorityPolicy = jetstream.PriorityPolicyPrioritized
		c.PriorityGroups = []string{nearestGroup}
	}
	return c
}
