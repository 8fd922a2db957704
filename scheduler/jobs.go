package scheduler

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"mahavishnu/messages"
)

// Labels of the jobs that a schedule makes, of their follow-ups, and of events
// about slots that became no job.
const (
	// LabelSchedule is the schedule's name.
	LabelSchedule = "schedule"
	// LabelSlot is the slot's time, RFC 3339 in UTC.
	LabelSlot = "slot"
	// LabelAfter is the job whose follow-up this is.
	LabelAfter = "after"
	// LabelFirst and LabelSlots are on events that tell of several slots: the
	// first of them and how many they are. LabelSlot is the last.
	LabelFirst = "first_slot"
	LabelSlots = "slots"
)

const (
	slotTime = "20060102T150405Z"
	// maxSlotID leaves room for a follow-up's suffix within a job id's 128 bytes.
	maxSlotID = 112
)

// SlotID is the id of the job that a schedule makes for a source at a slot:
// "schedule/source/20250330T010000Z". It depends on nothing else, so that two
// leaders name the same job.
func SlotID(schedule, source string, slot time.Time) string {
	at := "/" + slot.UTC().Format(slotTime)
	name := idToken(schedule) + "/" + idToken(source)
	if strings.HasPrefix(name, "=") {
		name = "s=" + name // an id begins with a letter or digit; no name yields "=="
	}
	if len(name)+len(at) > maxSlotID {
		sum := sha256.Sum256([]byte(name))
		name = strings.TrimRight(name[:maxSlotID-len(at)-33], "/") + "=" + hex.EncodeToString(sum[:16])
	}
	return name + at
}

// idToken writes a name with the characters a job id may have: letters,
// digits, '-' and '_' stay, any other byte becomes '=' and two hex digits, and
// so does a first byte that is no letter or digit.
func idToken(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', i > 0 && (c == '-' || c == '_'):
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02x", c)
		}
	}
	return b.String()
}

// job is what the schedule publishes for a target at a slot.
func (s Schedule) job(t Target, slot time.Time) messages.Job {
	var spec messages.Spec
	switch s.Kind {
	case messages.KindRestoreTest:
		spec = &messages.RestoreTestSpec{Source: t.Source}
	case messages.KindReplicate:
		spec = t.Copy.spec()
	default:
		spec = &messages.BackupSpec{Source: t.Source, Type: s.Type, Tags: []string{s.Name}}
	}
	return messages.Job{
		Kind: s.Kind, Region: t.Region, Spec: spec,
		Envelope: messages.Envelope{
			ID: SlotID(s.Name, t.Source, slot),
			Labels: map[string]string{
				LabelSchedule: s.Name,
				LabelSlot:     slot.UTC().Format(time.RFC3339),
			},
		},
	}
}

// due is when the slot's job is published: the slot, delayed by its jitter.
func (s Schedule) due(t Target, slot time.Time) time.Time {
	if s.Jitter <= 0 {
		return slot
	}
	sum := sha256.Sum256([]byte(SlotID(s.Name, t.Source, slot)))
	return slot.Add(time.Duration(binary.BigEndian.Uint64(sum[:8]) % uint64(s.Jitter)))
}
