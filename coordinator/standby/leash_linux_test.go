package standby_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mahavishnu/coordinator/standby"
)

// TestPromotionEndsWithTheKeeper kills a process while it promotes a member by a command:
// the command, which would make the member writable later, ends with it.
func TestPromotionEndsWithTheKeeper(t *testing.T) {
	const dirVariable = "LEASH_TEST_DIR"
	program := func(dir string) []string {
		return []string{"sh", "-c", "touch " + filepath.Join(dir, "begun") + "; sleep 1; touch " + filepath.Join(dir, "promoted")}
	}
	if dir := os.Getenv(dirVariable); dir != "" {
		driver, err := standby.NewCommand(standby.CommandOptions{
			Service: "s", Member: "m", Health: []string{"true"}, Fence: []string{"true"}, Demote: []string{"true"}, Promote: program(dir),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Fatalf("the promotion came to its end: %v", driver.Promote(t.Context(), 1))
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keeper := exec.Command(self, "-test.run=^TestPromotionEndsWithTheKeeper$")
	keeper.Env = append(os.Environ(), dirVariable+"="+dir)
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	for there := false; !there; {
		_, err := os.Stat(filepath.Join(dir, "begun"))
		there = err == nil
		time.Sleep(10 * time.Millisecond)
	}
	if err := keeper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = keeper.Wait()
	time.Sleep(2 * time.Second) // twice as long as the promotion had left
	if _, err := os.Stat(filepath.Join(dir, "promoted")); err == nil {
		t.Error("the promotion went on without its keeper")
	}
}
