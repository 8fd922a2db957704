package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mahavishnu/fault"
)

const (
	// EvaluateEvery is how often plans are evaluated.
	EvaluateEvery = 30 * time.Minute
	// evaluateTimeout bounds the check of one step, which only looks.
	evaluateTimeout = 10 * time.Second
	// maxInstances bounds the combinations of names that a plan is evaluated with.
	maxInstances = 64
)

// Finding is what was found about one step.
type Finding struct {
	Step string `json:"step"`
	Kind Kind   `json:"kind"`
	Uses string `json:"uses,omitempty"`
	// Error says why the step could not be carried out now; "" when it could.
	Error string `json:"error,omitempty"`
	// Unmet says that a check does not hold now, with what was seen: the plan would end
	// there, and changed nothing. Only looking for one order asks that.
	Unmet string `json:"unmet,omitempty"`
	// Seen is what was looked at.
	Seen string `json:"seen,omitempty"`
	// Optional is set when the plan goes on without the step.
	Optional bool `json:"optional,omitempty"`
	// UndoError is Error, for taking the step back.
	UndoError string `json:"undo_error,omitempty"`
}

// Evaluation tells whether a plan could be carried out now.
type Evaluation struct {
	Plan   string `json:"plan"`
	Digest string `json:"digest,omitempty"`
	// Definition is [Plan.Digest] of the plan that was looked at.
	Definition string            `json:"definition,omitempty"`
	Variant    Variant           `json:"variant"`
	Params     map[string]string `json:"params,omitempty"`
	At         time.Time         `json:"at"`
	Took       time.Duration     `json:"took_ns"`
	// Node is who looked.
	Node string `json:"node"`
	// Error says why there are no findings: a parameter that cannot be filled in.
	Error string `json:"error,omitempty"`
	// Later says why it is too early for findings, and what comes first; see [ErrEarly].
	Later string `json:"later,omitempty"`
	// Choice is a parameter that may have another value: a plan that could not be carried
	// out with one is not broken while it could with another.
	Choice string `json:"choice,omitempty"`
	// Refused says why an order would be refused now though every step is ready: what
	// the plan protects is held. Only looking for one order asks that.
	Refused  string    `json:"refused,omitempty"`
	Findings []Finding `json:"findings,omitempty"`
}

// Broken says what is in the way, "" when nothing is.
func (e *Evaluation) Broken() string {
	if e.Error != "" {
		return e.Error
	}
	var all []string
	if e.Refused != "" {
		all = append(all, e.Refused)
	}
	for _, f := range e.Findings {
		if f.Error != "" && !f.Optional {
			all = append(all, fmt.Sprintf("step %s: %s", f.Step, f.Error))
		}
		if f.UndoError != "" {
			all = append(all, fmt.Sprintf("undoing step %s: %s", f.Step, f.UndoError))
		}
	}
	return strings.Join(all, "; ")
}

// Unmet says at which check the plan would end as things are, "" when at none: every step
// may be ready before the day, and what the plan is for not be so.
func (e *Evaluation) Unmet() string {
	for _, f := range e.Findings {
		if f.Unmet != "" && !f.Optional {
			return fmt.Sprintf("step %s: %s", f.Step, f.Unmet)
		}
	}
	return ""
}

// Evaluate asks of every step of a plan, without changing anything, whether it could
// be carried out now: what it calls is bound, its parameters are good, and its own
// Check finds nothing in the way. Whether a condition holds is not asked: before the
// day, "the region is down" does not. See Try.
func (x *Executor) Evaluate(ctx context.Context, o Order) Evaluation {
	// What does not go together as things are may on the day: a way back is looked at before
	// anything has moved.
	return x.evaluate(ctx, o, nil)
}

func (x *Executor) evaluate(ctx context.Context, o Order, suits func(context.Context, *Plan, Variant, map[string]string) error) (result Evaluation) {
	began := x.clock.Now()
	if o.Variant == "" {
		o.Variant = o.Plan.Variant()
	}
	result = Evaluation{Plan: o.Plan.Name, Variant: o.Variant, At: began.UTC(), Node: x.o.Node, Params: o.Params, Definition: o.Plan.Digest()}
	if o.Plan.Parameters["from"].Type == TypeRegion && o.Plan.Parameters["to"].Type == TypeRegion {
		result.Choice = "to"
	}
	defer func() { result.Took = x.clock.Now().Sub(began) }()
	e, err := x.compose(ctx, o, suits)
	if errors.Is(err, ErrEarly) {
		result.Later = early(err)
		return result
	}
	if errors.Is(err, ErrRefused) {
		result.Error = early(err) // which says what could be ordered instead
		return result
	}
	if err != nil {
		result.Error = err.Error()
		return result
	}
	result.Digest, result.Params = e.Digest, e.Params
	r := &record{x: x, exec: e}
	for _, s := range e.Steps() {
		f := Finding{Step: s.Name, Kind: s.Kind, Uses: s.Uses, Optional: s.policy() == PolicyContinue}
		if s.Kind == KindApprove {
			if need := max(s.Approvals, 1); len(x.o.Approvers) < need {
				f.Error = fmt.Sprintf("it needs %d approvals, and the configuration has %d approvers", need, len(x.o.Approvers))
			}
		}
		if s.Uses != "" {
			f.Seen, f.Error = x.lookAt(ctx, r, doing(s))
		}
		if s.Undo.Uses != "" {
			_, f.UndoError = x.bound(r, undoing(s))
		}
		result.Findings = append(result.Findings, f)
	}
	return result
}

// Try is Evaluate for one order: it also asks the checks that come before anything is
// changed whether they hold, and tells, as the error too, why the order would be refused
// if it were given now.
func (x *Executor) Try(ctx context.Context, o Order) (Evaluation, error) {
	result := x.evaluate(ctx, o, x.o.Suits)
	if result.Later != "" {
		result.Error = result.Later // whoever orders it now is refused
	}
	if result.Error != "" {
		return result, nil
	}
	err := x.rehearse(ctx, o, &result)
	if err == nil {
		err = o.allowed()
	}
	if err == nil {
		err = x.free(ctx, o)
	}
	if err != nil {
		result.Refused = err.Error()
	}
	return result, err
}

// rehearse notes which checks do not hold. What comes after the first action may depend on
// what that does.
func (x *Executor) rehearse(ctx context.Context, o Order, result *Evaluation) error {
	o.Params, o.Variant = result.Params, result.Variant
	e, err := x.prepare(ctx, o)
	if err != nil {
		return err
	}
	r := &record{x: x, exec: e}
	for i, s := range e.Steps() {
		if s.Kind == KindAction {
			break
		}
		f := &result.Findings[i]
		if s.Kind != KindCheck || f.Error != "" {
			continue
		}
		c, err := x.call(r, doing(s))
		if err != nil {
			return err
		}
		if err := x.within(ctx, evaluateTimeout, func(ctx context.Context) error {
			_, err := holds(ctx, x.o.Registry.conditions[s.Uses], c)
			return err
		}); err != nil {
			f.Unmet = cut(err.Error())
		}
	}
	return nil
}

// free tells whether nobody holds what an order needs.
func (x *Executor) free(ctx context.Context, o Order) error {
	e, err := x.prepare(ctx, o)
	if err != nil {
		return err
	}
	b, _, err := x.readBoard(ctx)
	if err != nil {
		return err
	}
	return b.take(&e, x.now())
}

// allowed refuses what is only begun as the failback of an execution, and what whoever
// orders it has seen otherwise.
func (o Order) allowed() error {
	if o.Plan.Returns && o.Returns == "" {
		return fault.New("execute plan", o.Plan.Name, fmt.Errorf("%w: it is a failback", ErrRefused), "mahavishnu failover failback EXECUTION")
	}
	return o.Plan.asSeen(o.Seen)
}

// lookAt asks a step's own check.
func (x *Executor) lookAt(ctx context.Context, r *record, u unit) (seen, wrong string) {
	c, wrong := x.bound(r, u)
	if wrong != "" {
		return "", wrong
	}
	err := x.within(ctx, evaluateTimeout, func(ctx context.Context) error {
		var err error
		if u.changes() {
			seen, err = x.o.Registry.actions[u.uses].Check(ctx, c)
		} else {
			seen, err = x.o.Registry.conditions[u.uses].Check(ctx, c)
		}
		return err
	})
	if err != nil {
		return cut(seen), cut(err.Error())
	}
	return cut(seen), ""
}

// bound finds out whether there is anybody to call, with which parameters. What
// takes a step back is only asked for that: its own check would find that there is
// nothing to take back.
func (x *Executor) bound(r *record, u unit) (Call, string) {
	var err error
	if u.changes() {
		_, err = x.o.Registry.action(u.uses)
	} else {
		_, err = x.o.Registry.condition(u.uses)
	}
	if err != nil {
		return Call{}, err.Error()
	}
	c, err := x.call(r, u)
	if err != nil {
		return Call{}, err.Error()
	}
	return c, ""
}

// instances are the parameters that a plan has to be evaluated with: every
// combination of the names it could be given, without those that name one thing
// twice.
func (x *Executor) instances(p *Plan) []map[string]string {
	all := []map[string]string{{}}
	for _, name := range sorted(p.Parameters) {
		parameter := p.Parameters[name]
		// Members depend on the service; whoever resolves knows them.
		if parameter.Default != "" || !parameter.Type.named() || parameter.Type == TypeMember || x.o.Names == nil {
			continue
		}
		var next []map[string]string
		for _, params := range all {
			for _, value := range x.o.Names(parameter.Type) {
				if takenTwice(p, params, parameter.Type, value) || len(next) >= maxInstances {
					continue
				}
				with := maps.Clone(params)
				with[name] = value
				next = append(next, with)
			}
		}
		all = next
	}
	if x.o.Sensible == nil {
		return all
	}
	return slices.DeleteFunc(all, func(params map[string]string) bool { return !x.o.Sensible(p, params) })
}

func takenTwice(p *Plan, params map[string]string, t Type, value string) bool {
	for name, other := range params {
		if p.Parameters[name].Type == t && other == value {
			return true
		}
	}
	return false
}

// EvaluateAll evaluates every variant of plans with everything they could be given,
// keeps the results, and tells of what broke or was mended since the last time.
func (x *Executor) EvaluateAll(ctx context.Context, plans Plans) ([]Evaluation, error) {
	var all []Evaluation
	var errs []error
	for _, name := range sorted(plans) {
		p := plans[name]
		var own []Evaluation
		for _, v := range p.variants() {
			for _, params := range x.instances(p) {
				if err := context.Cause(ctx); err != nil {
					return all, err
				}
				own = append(own, x.Evaluate(ctx, Order{Plan: p, Variant: v, Params: params, Trigger: ByHand}))
			}
		}
		errs = append(errs, x.keep(ctx, name, own))
		all = append(all, own...)
	}
	return all, errors.Join(errs...)
}

// keep writes the evaluations of a plan down, and tells of a change. Whoever looked
// last is right, so a conflict is no failure: it is written over.
func (x *Executor) keep(ctx context.Context, name string, own []Evaluation) error {
	key := evaluationPrefix + name
	data, err := json.Marshal(own)
	if err != nil {
		return fault.New("keep evaluation", name, err, "")
	}
	for range maxConflicts {
		before, revision, err := x.evaluations(ctx, key)
		if err != nil {
			return err
		}
		_, err = x.o.Journal.Put(ctx, key, data, revision)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return fault.New("keep evaluation", name, err, "")
		}
		if len(own) == 0 {
			return nil // there is nothing that it could be carried out with
		}
		was, is := before.broken(), Evaluations(own).broken()
		x.tell(Event{Kind: EventEvaluated, Plan: name, Text: is})
		switch {
		case is != "" && is != was:
			x.tell(Event{Kind: EventBroken, Plan: name, Text: is})
		case is == "" && was != "":
			x.tell(Event{Kind: EventMended, Plan: name})
		}
		return nil
	}
	return fault.New("keep evaluation", name, ErrConflict, "")
}

func (x *Executor) evaluations(ctx context.Context, key string) (Evaluations, uint64, error) {
	data, revision, err := x.o.Journal.Get(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fault.New("read evaluation", key, err, "")
	}
	var all Evaluations
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, revision, nil //nolint:nilerr // of another version; it is written anew in a moment
	}
	return all, revision, nil
}

// Evaluations returns what the last evaluation of a plan found, nothing when there
// was none.
func (x *Executor) Evaluations(ctx context.Context, name string) ([]Evaluation, error) {
	all, _, err := x.evaluations(ctx, evaluationPrefix+name)
	return all, err
}
