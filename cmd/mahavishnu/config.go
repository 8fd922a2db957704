package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"mahavishnu/config"
	"mahavishnu/coordinator/plan"
	"mahavishnu/terminal"
)

func newConfigCommand(e *env) *cobra.Command {
	return parent("config", "Show and check the configuration",
		"Show the configuration in force, and check a file before it is used.",
		`  mahavishnu config check --config /etc/mahavishnu/mahavishnu.yaml
  mahavishnu config show
  mahavishnu config show --defaults > mahavishnu.yaml`,
		newConfigCheckCommand(e), newConfigShowCommand(e))
}

type configShowOptions struct {
	defaults bool
}

func newConfigShowCommand(e *env) *cobra.Command {
	var o configShowOptions
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print every setting with the value in force",
		Long: `Print every setting with the value in force, secrets masked. What it prints is a
configuration file itself. With --defaults it prints what an empty file means.`,
		Example: "  mahavishnu config show\n  mahavishnu config show --defaults\n  mahavishnu config show --json",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runConfigShow(e, o) },
	}
	cmd.Flags().BoolVar(&o.defaults, "defaults", false, "print the defaults instead")
	return exits(cmd)
}

func runConfigShow(e *env, o configShowOptions) error {
	cfg := config.Default()
	if !o.defaults {
		var err error
		if cfg, err = config.Load(e.configFile()); err != nil {
			return err
		}
	}
	return cfg.Show(e.out, config.ShowOptions{JSON: e.JSON})
}

func newConfigCheckCommand(e *env) *cobra.Command {
	return exits(&cobra.Command{
		Use:   "check",
		Short: "Check the configuration and tell every mistake at once",
		Long: `Read the configuration as every role would, and tell every mistake at once, each
with its file, line, column and the line itself; the plans in failover.plans, too. A
good one is summed up: what is backed up, when, where to.`,
		Example: "  mahavishnu config check\n  mahavishnu config check --config new.yaml",
		Args:    takes(0, 0, ""),
		RunE:    func(*cobra.Command, []string) error { return runConfigCheck(e) },
	})
}

// configSummary is what "config check --json" prints of a good configuration.
type configSummary struct {
	File       string            `json:"file"`
	OK         bool              `json:"ok"`
	Repository string            `json:"repository"`
	KeyPath    string            `json:"key_path"`
	Sources    map[string]string `json:"sources"`
	Schedules  []scheduleLine    `json:"schedules"`
	Notices    []string          `json:"notices"`
}

type scheduleLine struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Type     string   `json:"type,omitempty"`
	Cron     string   `json:"cron"`
	Timezone string   `json:"timezone"`
	Sources  []string `json:"sources"`
	Paused   bool     `json:"paused,omitempty"`
}

func runConfigCheck(e *env) error {
	cfg, err := config.Load(e.configFile(), config.Machine())
	if err != nil {
		return err
	}
	if _, err := plan.All(plan.Standard(), cfg.Failover.Plans); err != nil {
		return &badPlans{cfg.Failover.Plans, err}
	}
	sum := summarize(cfg)
	e.term.Document(sum)
	if e.JSON {
		return nil
	}
	name := sum.File
	if name == "" {
		name = "no file, so the defaults"
	}
	e.term.Printf("configuration: %s: %s", name, e.term.Mark(terminal.Good, "good"))
	e.term.Printf("repository:    %s\nkey ring:      %s", sum.Repository, sum.KeyPath)
	printSchedules(e, sum)
	for _, notice := range sum.Notices {
		e.term.Warnf("%s", notice)
	}
	return nil
}

// badPlans says what is wrong in the directory with plans of one's own.
type badPlans struct {
	dir string
	err error
}

func (b *badPlans) Error() string { return b.err.Error() }
func (b *badPlans) Unwrap() error { return b.err }

// FaultHint implements the hint of package fault.
func (b *badPlans) FaultHint() string {
	return "until it is mended, coordinators go on with the plans they have read before; one that starts goes on with the shipped plans and the good files of " + b.dir
}

func summarize(cfg *config.Config) configSummary {
	sum := configSummary{
		File: cfg.File(), OK: true, Repository: cfg.Place(), KeyPath: cfg.Backup.Encryption.KeyPath,
		Sources: map[string]string{}, Schedules: []scheduleLine{}, Notices: []string{},
	}
	for name, source := range cfg.Sources {
		sum.Sources[name] = source.Path
	}
	for _, s := range cfg.Schedules() {
		sum.Schedules = append(sum.Schedules, scheduleLine{
			Name: s.Name, Kind: s.Kind, Type: s.Type, Cron: s.Cron, Timezone: s.Policy.Timezone,
			Sources: s.Sources, Paused: s.Policy.Paused,
		})
	}
	for _, notice := range cfg.Notices() {
		sum.Notices = append(sum.Notices, notice.String())
	}
	return sum
}

func printSchedules(e *env, sum configSummary) {
	sources := terminal.NewTable("source", "path")
	for _, name := range sortedKeys(sum.Sources) {
		sources.Row(name, sum.Sources[name])
	}
	if sources.Len() > 0 {
		e.term.Printf("\n%s", sources)
	}
	schedules := terminal.NewTable("schedule", "does", "when", "sources")
	for _, s := range sum.Schedules {
		does := s.Type + " " + s.Kind
		when := fmt.Sprintf("%s (%s)", s.Cron, s.Timezone)
		if s.Paused {
			when += ", paused"
		}
		schedules.Row(s.Name, strings.TrimSpace(strings.ReplaceAll(does, "_", " ")), when, strings.Join(s.Sources, ", "))
	}
	if schedules.Len() > 0 {
		e.term.Printf("\n%s", schedules)
	}
}
