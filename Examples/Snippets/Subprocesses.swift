// The code of docs/subprocess.md.

import Updraft

func sortFruit() async throws {
    let child = try Subprocess("sort", ["-r"], stdin: .stream, stdout: .stream)
    try await child.stdin.write("apple\npear\n")
    child.stdin.close()
    for try await line in child.stdout.lines { print(String(decoding: line, as: UTF8.self)) }
    try await child.waitForExit()
}

func readTheLog(of folder: String) async throws -> [UInt8] {
    let log = try await withTimeout(.seconds(5)) {
        try await Subprocess.run("git", ["log", "--oneline"], workingDirectory: folder)
    }
    return log.stdout
}

func ask(_ question: String) async throws -> [UInt8] {
    try await withSubprocess("bc", stdin: .stream, stdout: .stream) { bc in
        try await bc.stdin.write("\(question)\n")
        return try await bc.stdout.read(until: "\n")
    }
}

func endWithin(_ grace: Duration, _ child: Subprocess) async throws {
    child.terminate()
    do {
        _ = try await withTimeout(grace) { try await child.wait() }
    } catch is TimeoutError {
        child.kill()
    }
}

func watch(_ child: Subprocess) {
    child.onExit { status in print("\(child.program) ended with \(status)") }
}

func answerOnStandardOutput(loop: IOLoop) async throws {
    let stream = try IOStream(readingPipe: 0, writingPipe: 1, loop: loop)
    for try await line in stream.lines(keepingEnds: true) { try await stream.write(line) }
    stream.close()
}
