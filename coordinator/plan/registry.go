package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mahavishnu/config"
	"mahavishnu/fault"
	"mahavishnu/messages"
)

// Action changes something. Implementations are safe for concurrent use and end
// soon after their context does: a plan waits for that, so that nothing it began is
// left running behind its back.
type Action interface {
	// Check tells whether Do could be called now, without changing anything. The
	// text says what was seen.
	Check(ctx context.Context, c Call) (string, error)
	// Do takes effect once, however often it is called with the same Token. The
	// resource must refuse an epoch below the highest it has seen; the error then
	// wraps [ErrFenced].
	Do(ctx context.Context, c Call) (string, error)
	// Done tells whether Do has taken effect. The resource has seen the epoch of the
	// call when Done returns, so that what an earlier leader may still have under way
	// comes too late: an answer that is not followed by that proves nothing.
	Done(ctx context.Context, c Call) (bool, error)
}

// Partial is an action that can take effect in part: on one of several things. What it
// began has to be taken back, too.
type Partial interface {
	// Begun is Done, for any part of Do.
	Begun(ctx context.Context, c Call) (bool, error)
}

// Condition looks at something and changes nothing.
type Condition interface {
	// Check tells whether Holds could be asked now.
	Check(ctx context.Context, c Call) (string, error)
	// Holds tells whether it is so, and what was seen.
	Holds(ctx context.Context, c Call) (bool, string, error)
}

// Call is what a step is told.
type Call struct {
	Execution string
	Plan      string
	Step      string
	Variant   Variant
	// Undo is set when the step is taken back.
	Undo bool
	// Epoch is the leader's; resources refuse a lower one than they have seen.
	Epoch uint64
	// Attempt counts from 1. Timeout is when it is given up: what it ordered must not
	// take effect later.
	Attempt int
	Timeout time.Duration
	// Token is the same for all attempts, and different for everything else.
	Token string
	// Node is the leader.
	Node string
	// Params are complete, and of the types that the definition names.
	Params map[string]string
}

// Text returns a parameter, "" when it was not given.
func (c Call) Text(name string) string { return c.Params[name] }

// Boolean returns a parameter of type boolean.
func (c Call) Boolean(name string) bool { return c.Params[name] == "true" }

// Duration returns a parameter of type duration.
func (c Call) Duration(name string) time.Duration {
	var d config.Duration
	if err := d.UnmarshalText([]byte(c.Params[name])); err != nil {
		return 0 // not given: what is given was checked when the plan was read
	}
	return d.Std()
}

// Param is a parameter of an action or condition.
type Param struct {
	Name string
	Type Type
	// Optional ones may be left out; Default is then what is passed.
	Optional bool
	Default  string
	// Choices, if any, are the only values.
	Choices []string
	About   string
}

// Definition is what is known of an action or condition without being able to
// carry it out.
type Definition struct {
	Name string
	// Changes tells an action from a condition.
	Changes bool
	// Summary says what happens, with "$name" for parameters: for the runbook.
	Summary string
	// ByHand says what a person does instead.
	ByHand string
	Params []Param
}

// param finds a parameter.
func (d *Definition) param(name string) (Param, bool) {
	i := slices.IndexFunc(d.Params, func(p Param) bool { return p.Name == name })
	if i < 0 {
		return Param{}, false
	}
	return d.Params[i], true
}

func (d *Definition) names() []string {
	names := make([]string, len(d.Params))
	for i, p := range d.Params {
		names[i] = p.Name
	}
	return names
}

// complete returns what is passed to the implementation.
func (d *Definition) complete(given map[string]string) (map[string]string, error) {
	params := make(map[string]string, len(d.Params))
	var errs []error
	for _, p := range d.Params {
		value, ok := given[p.Name]
		if !ok {
			value = p.Default
		}
		switch {
		case value == "" && p.Optional:
		case value == "":
			errs = append(errs, fmt.Errorf("%s of %s is empty", p.Name, d.Name))
		case p.check(value) != nil:
			errs = append(errs, fmt.Errorf("%s of %s: %w", p.Name, d.Name, p.check(value)))
		}
		params[p.Name] = value
	}
	return params, errors.Join(errs...)
}

func (p Param) check(value string) error {
	if len(p.Choices) > 0 && !slices.Contains(p.Choices, value) {
		return &choiceError{value, "a value of " + p.Name, p.Choices}
	}
	return p.Type.Check(value)
}

// Registry knows what steps may use. It is filled before it is used, and safe for
// concurrent use from then on.
type Registry struct {
	definitions map[string]*Definition
	actions     map[string]Action
	conditions  map[string]Condition
}

// NewRegistry returns one that knows nothing.
func NewRegistry() *Registry {
	return &Registry{definitions: map[string]*Definition{}, actions: map[string]Action{}, conditions: map[string]Condition{}}
}

// Define adds or replaces a definition.
func (r *Registry) Define(d Definition) { r.definitions[d.Name] = &d }

// Lookup finds a definition.
func (r *Registry) Lookup(name string) (*Definition, bool) {
	d, ok := r.definitions[name]
	return d, ok
}

// BindAction says who carries an action out. It refuses a name that is not
// defined, or is a condition's.
func (r *Registry) BindAction(name string, a Action) error {
	if err := r.bindable(name, true); err != nil {
		return err
	}
	r.actions[name] = a
	return nil
}

// BindCondition says who answers a condition.
func (r *Registry) BindCondition(name string, c Condition) error {
	if err := r.bindable(name, false); err != nil {
		return err
	}
	r.conditions[name] = c
	return nil
}

func (r *Registry) bindable(name string, changes bool) error {
	d, ok := r.definitions[name]
	switch {
	case !ok:
		return fault.New("bind", name, ErrNotFound, "define it first")
	case d.Changes != changes:
		return fault.New("bind", name, fmt.Errorf("it is defined as %s", describe(d)), "")
	}
	return nil
}

func describe(d *Definition) string {
	if d.Changes {
		return "an action"
	}
	return "a condition"
}

// names lists the actions or the conditions.
func (r *Registry) names(changes bool) []string {
	var names []string
	for _, name := range sorted(r.definitions) {
		if r.definitions[name].Changes == changes {
			names = append(names, name)
		}
	}
	return names
}

// unknown refuses a name.
func (r *Registry) unknown(name string, changes bool) (message, suggestion string) {
	what := "condition"
	if changes {
		what = "action"
	}
	names := r.names(changes)
	return fmt.Sprintf("there is no %s %q; there are %s", what, name, strings.Join(names, ", ")), messages.Nearest(name, names)
}

func (r *Registry) action(name string) (Action, error) {
	if a, ok := r.actions[name]; ok {
		return a, nil
	}
	return nil, fault.New("use", name, ErrUnbound, "")
}

func (r *Registry) condition(name string) (Condition, error) {
	if c, ok := r.conditions[name]; ok {
		return c, nil
	}
	return nil, fault.New("use", name, ErrUnbound, "")
}

// ActionFuncs is an [Action] of functions. A nil Checks sees nothing in the way.
type ActionFuncs struct {
	Checks func(context.Context, Call) (string, error)
	Does   func(context.Context, Call) (string, error)
	IsDone func(context.Context, Call) (bool, error)
	// HasBegun is that of a [Partial] action; nil: it has none of its effect or all of it.
	HasBegun func(context.Context, Call) (bool, error)
}

// Check implements [Action].
func (a ActionFuncs) Check(ctx context.Context, c Call) (string, error) {
	if a.Checks == nil {
		return "", nil
	}
	return a.Checks(ctx, c)
}

// Do implements [Action].
func (a ActionFuncs) Do(ctx context.Context, c Call) (string, error) { return a.Does(ctx, c) }

// Done implements [Action].
func (a ActionFuncs) Done(ctx context.Context, c Call) (bool, error) { return a.IsDone(ctx, c) }

// Begun implements [Partial].
func (a ActionFuncs) Begun(ctx context.Context, c Call) (bool, error) {
	done, err := a.IsDone(ctx, c)
	if err != nil || done || a.HasBegun == nil {
		return done, err
	}
	return a.HasBegun(ctx, c)
}

// ConditionFunc is a [Condition] that can always be asked; its Check asks it.
type ConditionFunc func(context.Context, Call) (bool, string, error)

// Check implements [Condition].
func (f ConditionFunc) Check(ctx context.Context, c Call) (string, error) {
	_, seen, err := f(ctx, c)
	if errors.Is(err, ErrNeedless) {
		err = nil // it can be asked: that it is not so yet is what plans wait for
	}
	return seen, err
}

// Holds implements [Condition].
func (f ConditionFunc) Holds(ctx context.Context, c Call) (bool, string, error) { return f(ctx, c) }
