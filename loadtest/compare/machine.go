package compare

import (
	"bufio"
	"os"
	"runtime"
	"strings"
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
