@testable import Environment

/// Words of sshd_config(5): what is quoted is read again as it was.
func sshServer(_ input: [UInt8]) {
    for line in lines(input) {
        let words = SSHServerConfiguration.words(line)
        require(words.joined().count <= line.count, "words are longer than their line")
    }
    let value = input.filter { $0 != 0x0a && $0 != 0x0d && $0 != 0 }
    let line = Array("SetEnv ".utf8) + ShellQuoting.sshd(Array("A=".utf8) + value)
    require(
        SSHServerConfiguration.words(line) == [Array("SetEnv".utf8), Array("A=".utf8) + value],
        "a quoted word is read differently")
}

/// Values in each syntax that is written: what its reader makes of it is the value, and no value leaves its line.
func quoting(_ input: [UInt8]) {
    let value = input.filter { $0 != 0 }
    require(posixReading(ShellQuoting.posix(value)) == value, "sh reads another value")
    if let text = ShellQuoting.systemd(value) { require(systemdReading(text) == value, "systemd reads another value") }
    if let text = ShellQuoting.pam(value) {
        require(!text.contains(0x0a) && !text.contains(UInt8(ascii: "#")), "pam_env ends the value early")
        let inner = text.first == UInt8(ascii: "\"") ? Array(text.dropFirst().dropLast()) : text
        require(inner == value, "pam_env reads another value")
    }
    for text in [ShellQuoting.fish(value), ShellQuoting.pythonBytes(value)] {
        require(text.allSatisfy { 0x20..<0x7f ~= $0 }, "a byte that is not printable is written as it is")
    }
    let dotenv = ShellQuoting.dotenv(value)
    require(dotenv == value || (dotenv.first == dotenv.last && dotenv.first == UInt8(ascii: "'")), "an open quote")
    for line in lines(input) {
        if let name = PAMSyntax.name(String(decoding: line, as: UTF8.self)) {
            require(name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f }, "a name that no shell knows")
        }
    }
}

/// One word of POSIX single quotes and escaped quotes; nil for anything else.
private func posixReading(_ text: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    var isQuoted = false
    var index = 0
    while index < text.count {
        switch (text[index], isQuoted) {
        case (UInt8(ascii: "'"), _): isQuoted.toggle()
        case (UInt8(ascii: "\\"), false) where index + 1 < text.count:
            index += 1
            result.append(text[index])
        case (let byte, true): result.append(byte)
        default: return nil
        }
        index += 1
    }
    return isQuoted ? nil : result
}

/// The inside of double quotes as env-file.c of systemd reads it: `\` stands before quotes, itself, backquote and dollar.
private func systemdReading(_ text: [UInt8]) -> [UInt8]? {
    guard text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") else { return nil }
    var result: [UInt8] = []
    var rest = text.dropFirst().dropLast()
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "\\") else {
            if byte == UInt8(ascii: "\"") { return nil }
            result.append(byte)
            continue
        }
        guard let next = rest.popFirst() else { return nil }
        if !Array("\"\\`$".utf8).contains(next) { result.append(byte) }
        result.append(next)
    }
    return result
}
