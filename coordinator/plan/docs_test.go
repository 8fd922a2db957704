package plan

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReferenceIsWhole compares the format's reference with what is read.
func TestReferenceIsWhole(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "failover-plans.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	for name, d := range Standard().definitions {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is not explained", name)
		}
		for _, p := range d.Params {
			if !strings.Contains(page, "`"+p.Name+"`") {
				t.Errorf("parameter %s of %s is not explained", p.Name, name)
			}
		}
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Plan](), reflect.TypeFor[Step](), reflect.TypeFor[Undo](), reflect.TypeFor[Parameter](), reflect.TypeFor[Limits]()} {
		for i := range typ.NumField() {
			if key := typ.Field(i).Tag.Get("yaml"); key != "" && !strings.Contains(page, "`"+key+"`") {
				t.Errorf("key %s of %s is not explained", key, typ.Name())
			}
		}
	}
	for _, s := range []State{StateReady, StateExecuting, StateFailedOver, StateStopped, StateRollingBack, StateCommitted, StateRolledBack} {
		if !strings.Contains(page, string(s)) {
			t.Errorf("state %s is not shown", s)
		}
	}
	_, example, _ := strings.Cut(page, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, err := Load("example.yaml", []byte(example), Standard()); err != nil {
		t.Errorf("the example is no plan: %v", err)
	}
}
