package messages

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// DeadCause says which way a message died.
type DeadCause string

// The causes of death.
const (
	// DeadRefused could not be understood, or asks for what cannot be done.
	DeadRefused DeadCause = "refused"
	// DeadUnrouted was on a subject that no worker reads.
	DeadUnrouted DeadCause = "unrouted"
	// DeadExhausted used up its attempts or its deadline.
	DeadExhausted DeadCause = "exhausted"
	// DeadFailed ended with an error that no retry can change.
	DeadFailed DeadCause = "failed"
	// DeadMaxDeliveries and DeadTerminated were given up by the server itself.
	DeadMaxDeliveries DeadCause = "max_deliveries"
	DeadTerminated    DeadCause = "terminated"
)

// DeadLetter is one entry of DR_DEAD.
type DeadLetter struct {
	// Sequence identifies the letter in DR_DEAD; the stream gives it.
	Sequence uint64    `json:"sequence,omitempty"`
	Time     time.Time `json:"time"`
	Cause    DeadCause `json:"cause"`
	// Reason is a sentence that tells what to fix.
	Reason string `json:"reason"`
	// Subject is where the message was published.
	Subject string `json:"subject"`
	Job     string `json:"job,omitempty"`
	// Attempts is how often the job was tried.
	Attempts uint64 `json:"attempts,omitempty"`
	// MessageSequence is the message's sequence in DR_JOBS.
	MessageSequence uint64 `json:"message_sequence,omitempty"`
	// Payload is the original message, base64 in JSON: it may be anything.
	Payload []byte `json:"payload,omitempty"`
	// Size is the original payload's size in bytes; Truncated says that
	// Payload holds only the first MaxDeadPayload of them.
	Size      int  `json:"size"`
	Truncated bool `json:"truncated,omitempty"`
}

// NewDeadLetter returns a letter with the payload cut to what is kept.
func NewDeadLetter(cause DeadCause, subject string, payload []byte, reason string, now time.Time) DeadLetter {
	d := DeadLetter{Time: now.UTC(), Cause: cause, Reason: reason, Subject: subject, Payload: payload, Size: len(payload)}
	if len(payload) > MaxDeadPayload {
		d.Payload, d.Truncated = payload[:MaxDeadPayload], true
	}
	return d
}

// DeadSubject is where the letter is published.
func (d DeadLetter) DeadSubject() string {
	kind, region, _ := SplitJobSubject(d.Subject)
	return DeadSubject(kind, region)
}

// DecodeDeadLetter reads a message of DR_DEAD: a letter of ours, or one of the
// server's advisories the stream captures.
func DecodeDeadLetter(subject string, data []byte) (DeadLetter, error) {
	if strings.HasPrefix(subject, "$JS.EVENT.ADVISORY.") {
		return decodeAdvisory(data)
	}
	return decode[DeadLetter]("dead letter", data)
}

// advisory is the part of the server's MAX_DELIVERIES and MSG_TERMINATED
// advisories that matters here.
type advisory struct {
	Type       string    `json:"type"`
	Time       time.Time `json:"timestamp"`
	Stream     string    `json:"stream"`
	Consumer   string    `json:"consumer"`
	StreamSeq  uint64    `json:"stream_seq"`
	Deliveries uint64    `json:"deliveries"`
	Reason     string    `json:"reason"`
}

func decodeAdvisory(data []byte) (DeadLetter, error) {
	var a advisory
	if err := json.Unmarshal(data, &a); err != nil {
		return DeadLetter{}, fmt.Errorf("decode server advisory: %w", err)
	}
	d := DeadLetter{Time: a.Time.UTC(), Cause: DeadMaxDeliveries, Attempts: a.Deliveries, MessageSequence: a.StreamSeq}
	if kind, region, ok := splitConsumer(a.Consumer); ok {
		d.Subject = JobSubject(kind, region)
	}
	d.Reason = fmt.Sprintf("the server gave up message %d of %s after %d deliveries by consumer %s", a.StreamSeq, a.Stream, a.Deliveries, a.Consumer)
	if strings.HasSuffix(a.Type, "terminated") {
		d.Cause = DeadTerminated
		d.Reason = fmt.Sprintf("message %d of %s was terminated through consumer %s", a.StreamSeq, a.Stream, a.Consumer)
		if a.Reason != "" {
			d.Reason += ": " + a.Reason
		}
	}
	return d, nil
}

// splitConsumer reverses ConsumerName.
func splitConsumer(name string) (Kind, string, bool) {
	for _, k := range Kinds() {
		if region, ok := strings.CutPrefix(name, "jobs-"+string(k)+"-"); ok && ValidName(region) {
			return k, region, true
		}
	}
	return "", "", false
}
