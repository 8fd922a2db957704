package messages

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// DefaultMaxAttempts is how often a job is tried when it does not say.
const DefaultMaxAttempts = 20

// Envelope holds the settings every kind of job shares. In a payload they sit
// beside the spec's own fields, and all are optional.
type Envelope struct {
	ID          string            `json:"id,omitempty" jsonschema:"maxLength=128,pattern=^[A-Za-z0-9][A-Za-z0-9_=/-]*$" jsonschema_description:"Identifies the job: a second message with the same id is the same job. Made up when left out."`
	Priority    int               `json:"priority,omitempty" jsonschema:"minimum=0,maximum=9" jsonschema_description:"0 (default) to 9. Recorded and shown; the order within one subject stays first come, first served."`
	NotBefore   time.Time         `json:"not_before,omitzero" jsonschema_description:"Do not start before this time (RFC 3339)."`
	Deadline    time.Time         `json:"deadline,omitzero" jsonschema_description:"Give up at this time (RFC 3339): a running attempt is stopped, a waiting job is not started."`
	MaxAttempts int               `json:"max_attempts,omitempty" jsonschema:"minimum=0,maximum=1000,default=20" jsonschema_description:"Attempts that may fail before the job is dead. Snoozed and interrupted attempts do not count."`
	Labels      map[string]string `json:"labels,omitempty" jsonschema_description:"Free text pairs, kept with the job and its events."`
	Approval    string            `json:"approval,omitempty" jsonschema_description:"Signed approval of exactly this job, for jobs that destroy or overwrite."`
}

// Job is a piece of work for one worker.
type Job struct {
	Kind   Kind
	Region string
	Envelope
	Spec Spec
}

// NewJob returns a job with an id of its own.
func NewJob(region string, spec Spec, now time.Time) Job {
	return Job{Kind: spec.Kind(), Region: region, Envelope: Envelope{ID: NewID(spec.Kind(), now)}, Spec: spec}
}

// NewID returns a fresh job id: kind, UTC second and 64 random bits.
func NewID(k Kind, now time.Time) string {
	var r [8]byte
	rand.Read(r[:]) // never fails; see crypto/rand
	return string(k) + "-" + now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(r[:])
}

// AdHocID is the id of a job whose message carries none. It depends only on
// what the stream keeps, so every delivery of the message yields the same id.
func AdHocID(stored time.Time, sequence uint64) string {
	return fmt.Sprintf("adhoc-%s-%d", stored.UTC().Format("20060102T150405Z"), sequence)
}

// Subject is where the job is published.
func (j Job) Subject() string { return JobSubject(j.Kind, j.Region) }

// Source is the source the job is about, or "".
func (j Job) Source() string { return SourceOf(j.Spec) }

// SameWork reports whether both jobs ask for the same: kind, region and spec.
// The rest of the envelope only says when and how.
func (j Job) SameWork(other Job) bool {
	if j.Kind != other.Kind || j.Region != other.Region {
		return false
	}
	a, errA := json.Marshal(j.Spec)
	b, errB := json.Marshal(other.Spec)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Attempts is how many attempts may fail before the job is dead.
func (j Job) Attempts() int {
	if j.MaxAttempts > 0 {
		return j.MaxAttempts
	}
	return DefaultMaxAttempts
}

// Check returns a [*RefusedError] when the job cannot be published as it is.
func (j Job) Check() error {
	if e := j.check(); e != nil {
		return e
	}
	return nil
}

func (j Job) check() *RefusedError {
	switch {
	case !j.Kind.Known():
		return refuseKind(string(j.Kind))
	case !ValidName(j.Region):
		return &RefusedError{Reason: quote(j.Region) + " cannot be a region's name", Field: "region"}
	case j.Spec == nil || j.Spec.Kind() != j.Kind:
		return &RefusedError{Reason: "a " + string(j.Kind) + " job needs a " + string(j.Kind) + " spec", Field: "kind"}
	}
	return first(j.Envelope.check(), j.Spec.check())
}

func (e Envelope) check() *RefusedError {
	switch {
	case e.ID != "" && !ValidID(e.ID):
		return &RefusedError{Reason: quote(e.ID) + ` is not a job id: 1 to 128 letters, digits and "-_=/", starting with a letter or digit`, Field: "id"}
	case e.Priority < 0 || e.Priority > 9:
		return &RefusedError{Reason: fmt.Sprintf("priority %d is not between 0 and 9", e.Priority), Field: "priority"}
	case e.MaxAttempts < 0 || e.MaxAttempts > 1000:
		return &RefusedError{Reason: fmt.Sprintf("max_attempts %d is not between 0 and 1000", e.MaxAttempts), Field: "max_attempts"}
	case !e.Deadline.IsZero() && !e.NotBefore.IsZero() && !e.Deadline.After(e.NotBefore):
		return &RefusedError{Reason: "deadline is not after not_before, so the job could never run", Field: "deadline"}
	case len(e.Labels) > 64:
		return &RefusedError{Reason: fmt.Sprintf("%d labels are too many; at most 64 are taken", len(e.Labels)), Field: "labels"}
	}
	for k, v := range e.Labels {
		if e := first(required("labels", k), text("labels", k), text("labels", v)); e != nil {
			return e
		}
	}
	return nil
}

// Payload is the job as published: one flat JSON object, the envelope's fields
// beside the spec's. Kind and region are the subject's. [Parse] reverses it.
func (j Job) Payload() ([]byte, error) {
	if err := j.Check(); err != nil {
		return nil, err
	}
	envelope, err := json.Marshal(j.Envelope)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
	}
	spec, err := json.Marshal(j.Spec)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
	}
	switch {
	case len(spec) == len("{}"):
		return envelope, nil
	case len(envelope) == len("{}"):
		return spec, nil
	}
	return append(append(envelope[:len(envelope)-1], ','), spec[1:]...), nil
}

// recordedJob is a job inside a record: kind and region spelt out, the spec in
// its own object.
type recordedJob struct {
	Kind   Kind   `json:"kind"`
	Region string `json:"region"`
	Envelope
	Spec json.RawMessage `json:"spec"`
}

// MarshalJSON writes the form kept in records.
func (j Job) MarshalJSON() ([]byte, error) {
	spec, err := json.Marshal(j.Spec)
	if err != nil {
		return nil, err
	}
	return json.Marshal(recordedJob{Kind: j.Kind, Region: j.Region, Envelope: j.Envelope, Spec: spec})
}

// UnmarshalJSON reads the form kept in records. It ignores fields it does not
// know, so that a newer version's records stay readable.
func (j *Job) UnmarshalJSON(data []byte) error {
	var r recordedJob
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	spec, err := decodeSpec(r.Kind, r.Spec)
	if err != nil {
		return err
	}
	*j = Job{Kind: r.Kind, Region: r.Region, Envelope: r.Envelope, Spec: spec}
	return nil
}
