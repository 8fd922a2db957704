package app

import (
	"testing"

	"mahavishnu/config"
)

func TestWorkersReadBackRestoresAsConfigured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Validation)
		want   bool
	}{
		"by default":    {func(*config.Validation) {}, true},
		"not":           {func(v *config.Validation) { v.VerifyOnRestore = false }, false},
		"no validation": {func(v *config.Validation) { v.Enabled = false }, false},
	} {
		cfg := testConfig(t, "")
		c.change(&cfg.Backup.Validation)
		a, err := New(Options{Config: cfg, Roles: Roles{Scheduler: true, Worker: true}})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := settings(a); err != nil || s.VerifyOnRestore != c.want {
			t.Errorf("%s: %v, %v", name, s.VerifyOnRestore, err)
		}
	}
}
