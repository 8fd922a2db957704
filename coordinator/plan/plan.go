package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/fault"
)

// Kind says what a step is.
type Kind string

// The kinds of step. Only an action changes anything.
const (
	// KindCheck must hold at that moment, or the step fails.
	KindCheck Kind = "check"
	// KindAction changes something.
	KindAction Kind = "action"
	// KindWait lets time pass, or waits until something holds.
	KindWait Kind = "wait"
	// KindApprove waits until people have approved the rest.
	KindApprove Kind = "approve"
	// KindProbe looks from outside whether what was done works.
	KindProbe Kind = "probe"
)

// Kinds lists the kinds of step.
func Kinds() []Kind { return []Kind{KindCheck, KindAction, KindWait, KindApprove, KindProbe} }

// UnmarshalText reads a kind.
func (k *Kind) UnmarshalText(text []byte) error {
	return choose(k, text, "a kind of step", Kinds())
}

// Policy says what happens when a step has failed for good.
type Policy string

// The policies. A plan that stops before it has changed anything ends rolled back.
const (
	PolicyStop     Policy = "stop"
	PolicyUndo     Policy = "undo"
	PolicyContinue Policy = "continue"
)

// UnmarshalText reads a policy.
func (p *Policy) UnmarshalText(text []byte) error {
	return choose(p, text, "what to do when a step fails", []Policy{PolicyStop, PolicyUndo, PolicyContinue})
}

// Variant is how a plan is carried out.
type Variant string

// The variants.
const (
	// Graceful: both sides work, and nothing may be lost.
	Graceful Variant = "graceful"
	// Ungraceful: one side is gone, or may be.
	Ungraceful Variant = "ungraceful"
)

// UnmarshalText reads a variant.
func (v *Variant) UnmarshalText(text []byte) error {
	return choose(v, text, "a variant", []Variant{Graceful, Ungraceful})
}

// Trigger says who starts a plan.
type Trigger string

// The triggers.
const (
	// ByHand: a person does.
	ByHand Trigger = "by_hand"
	// Automatic: the leading coordinator may, when it sees the fault.
	Automatic Trigger = "automatic"
)

// UnmarshalText reads a trigger.
func (t *Trigger) UnmarshalText(text []byte) error {
	return choose(t, text, "a way to start a plan", []Trigger{ByHand, Automatic})
}

// Expiry says what happens when nobody has decided within the window.
type Expiry string

// What happens at the end of the window.
const (
	ExpiryCommit   Expiry = "commit"
	ExpiryRollback Expiry = "rollback"
)

// UnmarshalText reads an expiry.
func (e *Expiry) UnmarshalText(text []byte) error {
	return choose(e, text, "an end of the window", []Expiry{ExpiryCommit, ExpiryRollback})
}

// choose reads one of a few words. The error carries them all.
func choose[T ~string](into *T, text []byte, what string, words []T) error {
	if !slices.Contains(words, T(text)) {
		return &choiceError{string(text), what, texts(words)}
	}
	*into = T(text)
	return nil
}

func texts[T ~string](words []T) []string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return all
}

// Value is a parameter's value as it is written; "$name" in it stands for a
// parameter of the plan.
type Value string

// UnmarshalText takes any single value.
func (v *Value) UnmarshalText(text []byte) error {
	*v = Value(text)
	return nil
}

// Window is how long a plan that is done may still be rolled back.
type Window struct {
	// Given tells "none" from nothing at all, which is the configured one.
	Given bool `json:"given,omitempty"`
	// Length is 0 for none.
	Length config.Duration `json:"length,omitempty"`
}

// UnmarshalText reads a duration or "none".
func (w *Window) UnmarshalText(text []byte) error {
	w.Given = true
	if string(text) == "none" {
		w.Length = 0
		return nil
	}
	if err := w.Length.UnmarshalText(text); err != nil {
		return fmt.Errorf(`%w, or "none"`, err)
	}
	if w.Length == 0 {
		return errors.New(`0s could be read as none or as for ever: write "none", or a duration`)
	}
	return nil
}

// UnmarshalJSON reads what json.Marshal made of a Window.
func (w *Window) UnmarshalJSON(data []byte) error {
	type plain Window
	return json.Unmarshal(data, (*plain)(w))
}

// Plan is what is done about a disaster, in order.
type Plan struct {
	// Name is what commands and journals call it.
	Name string `yaml:"name" json:"name"`
	// About says what the plan is for, to a tired reader.
	About string `yaml:"about" json:"about"`
	// Start is who starts it; empty is [ByHand].
	Start Trigger `yaml:"start" json:"start,omitempty"`
	// Limits bound what starts by itself.
	Limits Limits `yaml:"limits" json:"limits,omitzero"`
	// Protects names what at most one execution at a time may hold:
	// "service/$service".
	Protects []Value `yaml:"protects" json:"protects"`
	// Parameters are what an execution is told, by name.
	Parameters map[string]Parameter `yaml:"parameters" json:"parameters,omitempty"`
	// Variants that exist; empty is both.
	Variants []Variant `yaml:"variants" json:"variants,omitempty"`
	// Window is how long it may be rolled back once it is done.
	Window Window `yaml:"window" json:"window,omitzero"`
	// Expired is what happens then; empty is [ExpiryCommit].
	Expired Expiry `yaml:"expired" json:"expired,omitempty"`
	// Failback is the plan that goes back to how it was.
	Failback string `yaml:"failback" json:"failback,omitempty"`
	// Returns marks a plan that is another's failback.
	Returns bool `yaml:"returns" json:"returns,omitempty"`
	// Steps in the order in which they are done.
	Steps []Step `yaml:"steps" json:"steps"`

	// File is where it was read from; empty for one that is shipped.
	File string `json:"-"`
}

// Parameter is something an execution is told.
type Parameter struct {
	Type    Type   `yaml:"type" json:"type"`
	About   string `yaml:"about" json:"about,omitempty"`
	Default Value  `yaml:"default" json:"default,omitempty"`
}

// Limits bound automatic executions, for each protected thing.
type Limits struct {
	// AtMost executions start by themselves Within a time; 0 is 2.
	AtMost int `yaml:"at_most" json:"at_most,omitempty"`
	// Within is the time that AtMost is about; 0 is an hour.
	Within config.Duration `yaml:"within" json:"within,omitempty"`
	// Quiet is how long after one the next may start at the earliest; 0 is two
	// minutes.
	Quiet config.Duration `yaml:"quiet" json:"quiet,omitempty"`
	// Each is what Quiet is counted apart for, such as "$from": where it differs the next
	// is about something else, and need not wait. Empty: all are alike.
	Each Value `yaml:"each" json:"each,omitempty"`
	// OnlyFailures has AtMost count no execution that did what it was for.
	OnlyFailures bool `yaml:"only_failures" json:"only_failures,omitempty"`
}

const (
	defaultAtMost = 2
	defaultWithin = time.Hour
	defaultQuiet  = 2 * time.Minute
)

func (l Limits) withDefaults() Limits {
	if l.AtMost <= 0 {
		l.AtMost = defaultAtMost
	}
	if l.Within <= 0 {
		l.Within = config.Duration(defaultWithin)
	}
	if l.Quiet <= 0 {
		l.Quiet = config.Duration(defaultQuiet)
	}
	return l
}

// Step is one thing that is done.
type Step struct {
	// Name is unique within the plan.
	Name string `yaml:"name" json:"name"`
	Kind Kind   `yaml:"kind" json:"kind"`
	// About says what happens and why, for the runbook.
	About string `yaml:"about" json:"about,omitempty"`
	// Uses is the action or condition of the registry.
	Uses string `yaml:"uses" json:"uses,omitempty"`
	// With are its parameters.
	With map[string]Value `yaml:"with" json:"with,omitempty"`
	// Only is the variant that the step belongs to; empty is every one.
	Only Variant `yaml:"only" json:"only,omitempty"`
	// Needs are earlier steps without which this one makes no sense.
	Needs []string `yaml:"needs" json:"needs,omitempty"`
	// Timeout bounds each attempt.
	Timeout config.Duration `yaml:"timeout" json:"timeout,omitempty"`
	// Retries is how often the step is tried again after a failure, and Pause how
	// long is waited before; 0 is a second.
	Retries int             `yaml:"retries" json:"retries,omitempty"`
	Pause   config.Duration `yaml:"pause" json:"pause,omitempty"`
	// Every is how often waits and probes look; 0 is a quarter of a second. Holds
	// is how many times in a row what they look for must be so; 0 is once.
	Every config.Duration `yaml:"every" json:"every,omitempty"`
	Holds int             `yaml:"holds" json:"holds,omitempty"`
	// For is how long a wait without a condition waits.
	For config.Duration `yaml:"for" json:"for,omitempty"`
	// Approvals is how many different people must approve; 0 is one.
	Approvals int `yaml:"approvals" json:"approvals,omitempty"`
	// OnFailure is what happens when it failed for good; empty is [PolicyStop].
	OnFailure Policy `yaml:"on_failure" json:"on_failure,omitempty"`
	// Undo takes back what an action did.
	Undo Undo `yaml:"undo" json:"undo,omitzero"`
	// ByHand is what to do when the step fails and the machine cannot; empty is
	// what the action itself says.
	ByHand string `yaml:"by_hand" json:"by_hand,omitempty"`
}

// Undo is the action that takes another back.
type Undo struct {
	Uses    string           `yaml:"uses" json:"uses,omitempty"`
	With    map[string]Value `yaml:"with" json:"with,omitempty"`
	Timeout config.Duration  `yaml:"timeout" json:"timeout,omitempty"`
	Retries int              `yaml:"retries" json:"retries,omitempty"`
}

// Zero values of a step.
const (
	defaultPause = time.Second
	defaultEvery = 250 * time.Millisecond
)

func (s Step) pause() time.Duration {
	if s.Pause > 0 {
		return s.Pause.Std()
	}
	return defaultPause
}

func (s Step) every() time.Duration {
	if s.Every > 0 {
		return s.Every.Std()
	}
	return defaultEvery
}

func (s Step) policy() Policy {
	if s.OnFailure == "" {
		return PolicyStop
	}
	return s.OnFailure
}

// Has reports whether the plan has a variant.
func (p *Plan) Has(v Variant) bool { return slices.Contains(p.variants(), v) }

func (p *Plan) variants() []Variant {
	if len(p.Variants) == 0 {
		return []Variant{Graceful, Ungraceful}
	}
	return p.Variants
}

// Variant returns the one that is meant when nobody says which: the ungraceful,
// where there is one.
func (p *Plan) Variant() Variant {
	if p.Has(Ungraceful) {
		return Ungraceful
	}
	return p.variants()[0]
}

// In returns the steps of a variant.
func (p *Plan) In(v Variant) []Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Only != "" && s.Only != v })
}

// Digest names exactly this plan, variant and parameters: what an approval is for.
// Comments and spaces of the file are no part of it.
func Digest(p Plan, v Variant, params map[string]string) string {
	data, err := json.Marshal(struct {
		Plan    Plan              `json:"plan"`
		Variant Variant           `json:"variant"`
		Params  map[string]string `json:"params"`
	}{p, v, params})
	if err != nil {
		// Strings, numbers and maps of them: there is nothing that could fail.
		panic(err)
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Digest names exactly this definition, whatever it is carried out with: what somebody
// who orders it has seen of it.
func (p *Plan) Digest() string { return Digest(*p, "", nil) }

const (
	// shortDigest is how much of a digest people are shown, leastDigest how much they
	// have to repeat.
	shortDigest = 12
	leastDigest = 8
)

// ShortDigest is as much of a digest as people need.
func ShortDigest(digest string) string { return digest[:min(len(digest), shortDigest)] }

// sameDigest reports whether what somebody has seen is this; a part of it will do.
func sameDigest(seen, digest string) bool {
	return len(seen) >= leastDigest && strings.HasPrefix(digest, strings.ToLower(seen))
}

// asSeen refuses an order of somebody who has seen another definition than this one.
// Who has seen none, refuses none.
func (p *Plan) asSeen(seen string) error {
	if seen == "" || sameDigest(seen, p.Digest()) {
		return nil
	}
	own := ShortDigest(p.Digest())
	return fault.New("carry out plan", p.Name, fmt.Errorf("%w: its digest is %s for the leading coordinator, and %s where the order comes from", ErrDiffers, own, ShortDigest(seen)),
		fmt.Sprintf("see what the leading coordinator would do: mahavishnu failover execute %s --dry-run\nto have exactly that done, repeat the order with --digest %s\nkeep the same files in failover.plans on every machine", p.Name, own))
}
