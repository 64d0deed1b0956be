internal import CUpdraft

/// Standard output of programs that others read through a pipe.
public enum StandardOutput {
    /// Prints a line and flushes, so that whoever started the program sees it at once. Under a
    /// pipe the C library would hold it back.
    public static func announce(_ line: String) {
        print(line)
        cu_flush_stdout()
    }

    /// Writes a line to standard error.
    public static func complain(_ line: String) {
        var text = line + "\n"
        text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) { cu_write_stderr($0.baseAddress, $0.count) }
        }
    }
}
