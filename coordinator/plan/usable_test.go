package plan

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whatever is wrong in a directory: what is shipped and what is good can be carried out,
// and nothing starts by itself that a broken file may say otherwise of.
func TestUsablePlans(t *testing.T) {
	shipped := "single_server_failure"
	for name, c := range map[string]struct {
		files map[string]string
		// wrong is in the error; start is who starts the shipped plan.
		wrong    string
		start    Trigger
		own, not string
	}{
		"all is well":            {files: map[string]string{"good.yaml": good}, start: Automatic, own: "good"},
		"another file is broken": {files: map[string]string{"good.yaml": good, "bad.yml": "name: other\nsteps: no"}, wrong: "bad.yml:2", start: Automatic, own: "good", not: "other"},
		"by the name of the file": {
			files: map[string]string{"good.yaml": good, shipped + ".yml": "\t: ["}, wrong: shipped + ".yml", start: ByHand, own: "good",
		},
		"by the name in the file": {
			files: map[string]string{"mine.yaml": "# mine\n\"name\" : '" + shipped + "' # asked first\nsteps: ["}, wrong: "mine.yaml", start: ByHand,
		},
		"given twice": {
			files: map[string]string{"a.yaml": strings.Replace(good, "name: good", "name: "+shipped, 1), "b.yaml": strings.Replace(good, "name: good", "name: "+shipped, 1)},
			wrong: "rename one", start: ByHand,
		},
		"its failback is broken": {
			files: map[string]string{
				"good.yaml": strings.Replace(good, "name: good", "name: good\nfailback: back", 1),
				"more.yaml": strings.Replace(good, "name: good", "name: "+shipped+"\nfailback: good", 1), "back.yaml": "name: back",
			},
			wrong: "back.yaml:1", start: ByHand, not: "good",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			plans, err := Usable(Standard(), dir)
			if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%v, want %q", err, c.wrong)
			}
			p := plans[shipped]
			if p == nil || p.File != "" || p.Start != c.start || len(plans) < 7 {
				t.Fatalf("%s is %+v of %d", shipped, p, len(plans))
			}
			if c.own != "" && plans[c.own] == nil || plans[c.not] != nil {
				t.Errorf("%v", sorted(plans))
			}
			if err := plans.check(); err != nil {
				t.Error(err)
			}
		})
	}
	plans, err := Usable(Standard(), filepath.Join(t.TempDir(), "none"))
	if err == nil || plans[shipped] == nil || plans[shipped].Start != Automatic {
		t.Errorf("no directory: %v %v", sorted(plans), err)
	}
	if plans, err = Usable(Standard(), ""); err != nil || len(plans) < 7 {
		t.Errorf("none is named: %v %v", sorted(plans), err)
	}
}
