package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mahavishnu/coordinator/plan"
	"mahavishnu/messages"
	"mahavishnu/messages/bus"
	"mahavishnu/messages/natsserver/natstest"
)

// leading is a leading coordinator's desk for scripts: a real queue, and plans whose
// actions change nothing but what this notes.
type leading struct {
	mu      sync.Mutex
	done    map[string]bool // by token
	broken  map[string]bool // actions that fail, by name
	unready map[string]bool // conditions that do not hold, by name
}

func (l *leading) bind(r *plan.Registry) error {
	var errs []error
	for _, name := range []string{
		"fence", "promote", "demote", "rejoin", "route", "pause_schedules", "resume_schedules", "move_workers", "return_workers",
		"move_services", "return_services", "promote_repository", "failback_repository", "notify",
	} {
		errs = append(errs, r.BindAction(name, plan.ActionFuncs{
			Checks: func(context.Context, plan.Call) (string, error) { return "ready", l.fault(name) },
			Does: func(_ context.Context, c plan.Call) (string, error) {
				if err := l.fault(name); err != nil {
					return "", err
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.done[c.Token] = true
				return "", nil
			},
			IsDone: func(_ context.Context, c plan.Call) (bool, error) {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.done[c.Token], nil
			},
		}))
	}
	for _, name := range []string{"quorum", "member_down", "region_down", "region_up", "wait_lease", "probe", "caught_up", "repository_current", "region_serves"} {
		errs = append(errs, r.BindCondition(name, plan.ConditionFunc(func(context.Context, plan.Call) (bool, string, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.unready[name], name + " was looked at", nil
		})))
	}
	return errors.Join(errs...)
}

func (l *leading) fault(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken[name] {
		return errors.New("its disk is full")
	}
	return nil
}

// set lets a script break and mend what plans use.
func (l *leading) set(what map[string]bool, names []string, value bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		what[name] = value
	}
}

// serve leads until stop is called.
func (l *leading) serve(url, dir string, approvers map[string]plan.PublicKey) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	conn, err := bus.Connect(ctx, bus.Options{URL: url, Name: "leader"})
	if err != nil {
		cancel()
		return nil, err
	}
	fail := func(err error) (func(), error) {
		cancel()
		return nil, errors.Join(err, conn.Close())
	}
	if err := bus.Provision(ctx, conn, bus.ProvisionOptions{Regions: []string{"eu-west-1", "us-east-1"}}); err != nil {
		return fail(err)
	}
	b, err := bus.Bind(ctx, conn)
	if err != nil {
		return fail(err)
	}
	store, err := b.Store(messages.BucketLeases)
	if err != nil {
		return fail(err)
	}
	registry := plan.Standard()
	if err := l.bind(registry); err != nil {
		return fail(err)
	}
	plans, err := plan.All(registry, dir)
	if err != nil {
		return fail(err)
	}
	names := func(t plan.Type) []string {
		return map[plan.Type][]string{plan.TypeRegion: {"eu-west-1", "us-east-1"}, plan.TypeService: {"db"}}[t]
	}
	x, err := plan.NewExecutor(plan.Options{
		Journal: plan.FromBus(store), Registry: registry, Node: "leader", Approvers: approvers, Window: time.Hour, Names: names,
	})
	if err != nil {
		return fail(err)
	}
	lease, err := b.Leases().Acquire(ctx, bus.LeaseOptions{Name: messages.LeaseCoordinator, Holder: "leader"})
	if err != nil {
		return fail(err)
	}
	desk := plan.NewDesk(x, plan.DeskOptions{Plans: plans, Reload: func() (plan.Plans, error) { return plan.All(registry, dir) }})
	var running sync.WaitGroup
	running.Go(func() { _ = desk.Lead(lease.Context(), lease.Epoch()) }) // ends with the lease
	unserve, err := b.ServePlans(ctx, desk.Answer)
	if err != nil {
		return fail(err)
	}
	return func() {
		unserve()
		_ = lease.Release(ctx) // the queue may be gone
		running.Wait()
		cancel()
		conn.Close()
	}, nil
}

// TestFailoverScripts runs the real binary against a leading coordinator's desk.
func TestFailoverScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "failover"), RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("TMPDIR", env.WorkDir)
			env.Setenv("NO_COLOR", "1")
			env.Setenv("TZ", "UTC")
			l := &leading{done: map[string]bool{}, broken: map[string]bool{}, unready: map[string]bool{}}
			env.Values["leading"] = l
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus,
			"until":  cmdUntil,
			// queue CONFIG...: starts a queue and writes its address into configurations
			"queue": func(ts *testscript.TestScript, _ bool, args []string) {
				url := natstest.Start(t).ClientURL()
				ts.Setenv("QUEUE", url)
				for _, name := range args {
					file, err := os.OpenFile(ts.MkAbs(name), os.O_APPEND|os.O_WRONLY, 0)
					ts.Check(err)
					_, err = file.WriteString("nats: {url: \"" + url + "\"}\n")
					ts.Check(errors.Join(err, file.Close()))
				}
			},
			// append FILE FROM: adds a file, or stdout, to another
			"append": func(ts *testscript.TestScript, _ bool, args []string) {
				file, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_WRONLY, 0)
				ts.Check(err)
				_, err = file.WriteString(ts.ReadFile(args[1]))
				ts.Check(errors.Join(err, file.Close()))
			},
			// lead KEYFILE NAME: a coordinator leads, and knows one approver
			"lead": func(ts *testscript.TestScript, _ bool, args []string) {
				approvers := map[string]plan.PublicKey{}
				if len(args) > 1 {
					key, err := plan.ReadKey(ts.MkAbs(args[0]))
					ts.Check(err)
					approvers[args[1]] = key.Public()
				}
				stop, err := ts.Value("leading").(*leading).serve(ts.Getenv("QUEUE"), ts.MkAbs("plans"), approvers)
				ts.Check(err)
				ts.Defer(stop)
			},
			// break ACTION... and mend ACTION..., deny CONDITION... and allow CONDITION...
			"break": func(ts *testscript.TestScript, _ bool, args []string) {
				l := ts.Value("leading").(*leading)
				l.set(l.broken, args, true)
			},
			"mend": func(ts *testscript.TestScript, _ bool, args []string) {
				l := ts.Value("leading").(*leading)
				l.set(l.broken, args, false)
			},
			"deny": func(ts *testscript.TestScript, _ bool, args []string) {
				l := ts.Value("leading").(*leading)
				l.set(l.unready, args, true)
			},
			"allow": func(ts *testscript.TestScript, _ bool, args []string) {
				l := ts.Value("leading").(*leading)
				l.set(l.unready, args, false)
			},
		},
	})
}
