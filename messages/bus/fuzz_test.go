package bus

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"mahavishnu/messages"
)

// FuzzStored reads messages as the server hands them out directly.
func FuzzStored(f *testing.F) {
	f.Add("1", "2026-11-23T02:00:00.000000001Z", "dr.jobs.backup.eu-1", []byte(`{"source":"home"}`))
	f.Add("18446744073709551615", "", "", []byte{})
	f.Fuzz(func(t *testing.T, sequence, at, subject string, data []byte) {
		m := &nats.Msg{Data: data, Header: nats.Header{
			"Nats-Sequence": {sequence}, "Nats-Time-Stamp": {at}, "Nats-Subject": {subject},
		}}
		s, err := decodeStored(m)
		if err != nil {
			return
		}
		job, err := parse(s.subject, s.data, s.time, s.sequence)
		if err == nil && job.ID == "" {
			t.Fatal("an accepted job has no id")
		}
	})
}

// FuzzJobID gives ids to jobs that came without one.
func FuzzJobID(f *testing.F) {
	f.Add([]byte(`{"source":"home"}`), int64(0), uint64(7))
	f.Fuzz(func(t *testing.T, data []byte, at int64, sequence uint64) {
		when := time.Unix(at%(1<<40), 0)
		a, err := parse(messages.JobSubject(messages.KindBackup, "eu-1"), data, when, sequence)
		b, err2 := parse(messages.JobSubject(messages.KindBackup, "eu-1"), data, when, sequence)
		if (err == nil) != (err2 == nil) || err == nil && a.ID != b.ID {
			t.Fatalf("read twice: %v %v, %q %q", err, err2, a.ID, b.ID)
		}
	})
}
