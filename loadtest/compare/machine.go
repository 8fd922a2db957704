package compare

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"

	"mahavishnu/terminal"
)

// Machine is where something was measured.
type Machine struct {
	OS         string `json:"os"`
	Kernel     string `json:"kernel,omitempty"`
	CPU        string `json:"cpu,omitempty"`
	Cores      int    `json:"cores"`
	Memory     int64  `json:"memory,omitempty"` // bytes
	FileSystem string `json:"file_system,omitempty"`
	Go         string `json:"go"`
}

// String is the machine in a line.
func (m Machine) String() string {
	known := func(text string) string { return cmp.Or(text, "unknown") }
	return fmt.Sprintf("%s, %s, %s, file system %s, %s, %s", known(m.CPU), terminal.Plural(m.Cores, "core"),
		terminal.Bytes(m.Memory), known(m.FileSystem), known(m.Kernel), m.Go)
}

// Inspect tells what is known of this machine and the file system of dir. What
// a system does not tell is left empty.
func Inspect(dir string) Machine {
	m := Machine{OS: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name")
	m.Kernel, m.FileSystem, m.Memory = kernel(), fileSystem(dir), memory()
	return m
}

// field returns the value of the first line "name : value" of a file.
func field(path, name string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
