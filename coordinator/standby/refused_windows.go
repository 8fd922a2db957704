package standby

import "golang.org/x/sys/windows"

// refused is how a system says that nobody listens.
const refused = windows.WSAECONNREFUSED
